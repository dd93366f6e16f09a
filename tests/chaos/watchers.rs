//! Watchers that go from replica to replica with their tokens.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    domain::token::ResumeToken,
    pb::{self, watch_revocations_response::Item},
};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Status;

use crate::{book::Book, dice::Dice, fleet::Fleet};

/// What one watcher was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Revisions and keys, in the order in which they came.
    items: Vec<(i64, String)>,
    /// The last bookmark or item.
    at: i64,
    /// Whether all of that revision was told: a bookmark says so.
    is_whole: bool,
    token: String,
    /// The revision behind which the token goes on: where an event was cut between two of its items, the one
    /// before it, since the event is told anew.
    behind: i64,
    moves: usize,
    wrong: Vec<String>,
}

/// One at each replica first, and then wherever it comes to.
pub(crate) async fn begin(fleet: &Arc<Fleet>, book: &Arc<Book>, seed: u64, tasks: &mut JoinSet<()>) -> Vec<Arc<Told>> {
    let mut watchers = Vec::new();
    for at in 0..fleet.replicas.len() {
        let told = Told::begin(fleet, book, at).await;
        tasks.spawn(Arc::clone(&told).run(Arc::clone(fleet), Arc::clone(book), Dice::new(seed, 300 + at as u64)));
        watchers.push(told);
    }
    watchers
}

impl Told {
    /// Opens the first stream before anything is revoked.
    async fn begin(fleet: &Fleet, book: &Book, at: usize) -> Arc<Self> {
        let told = Arc::new(Self::default());
        for _ in 0..100 {
            // Its first item is a bookmark.
            if told.follow(fleet, book, at, |inner| !inner.token.is_empty()).await.is_ok() {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no watch at replica {at}");
    }

    /// Goes on until the book is closed, and after some moments always at another replica.
    async fn run(self: Arc<Self>, fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice) {
        while !book.is_over() {
            let (at, until) = (dice.below(fleet.replicas.len()), tokio::time::Instant::now() + dice.millis(200, 4000));
            let moved = tokio::time::timeout_at(until, self.follow(&fleet, &book, at, |_| book.is_over())).await;
            self.inner.lock().expect("lock").moves += 1;
            if let Ok(Err(status)) = moved {
                book.failed("Watch", &status);
                if matches!(status.code(), tonic::Code::OutOfRange | tonic::Code::InvalidArgument) {
                    self.inner.lock().expect("lock").wrong.push(format!("a token was refused: {status}"));
                    return;
                }
                tokio::time::sleep(dice.millis(20, 200)).await;
            }
        }
    }

    /// Watches to the end of all: a bookmark at `head`.
    pub(crate) async fn finish(&self, fleet: &Fleet, book: &Book, at: usize, head: i64) {
        let reached = self.follow(fleet, book, at, |inner| inner.at >= head);
        let ended = tokio::time::timeout(Duration::from_secs(20), reached).await;
        if !matches!(ended, Ok(Ok(()))) {
            self.inner.lock().expect("lock").wrong.push(format!("never told up to {head}: {ended:?}"));
        }
    }

    async fn follow(
        &self,
        fleet: &Fleet,
        book: &Book,
        at: usize,
        is_done: impl Fn(&Inner) -> bool,
    ) -> Result<(), Status> {
        let resume_token = self.inner.lock().expect("lock").resume();
        let request = pb::WatchRevocationsRequest { resume_token, ..Default::default() };
        let mut stream = fleet.clients[at].stream("KeyService/WatchRevocations", &request).await?;
        while let Some(bytes) = stream.message().await? {
            let item = pb::WatchRevocationsResponse::decode(bytes).map_err(|e| Status::internal(e.to_string()))?;
            if let Some(Item::Revocation(revocation)) = &item.item
                && revocation.cause() == pb::RevocationCause::Expired
            {
                book.ended(&revocation.key_id);
            }
            let mut inner = self.inner.lock().expect("lock");
            inner.take(item);
            if is_done(&inner) {
                return Ok(());
            }
        }
        Err(Status::unavailable("the stream ended"))
    }

    /// Everything revoked and acknowledged was told, once, in order.
    pub(crate) fn judge(&self, acknowledged: &[String]) -> Vec<String> {
        let inner = self.inner.lock().expect("lock");
        println!("a watcher at {} replicas one after the other: {} items", inner.moves, inner.items.len());
        let keys: BTreeSet<_> = inner.items.iter().map(|(_, key)| key).collect();
        let missing = acknowledged.iter().filter(|key| !keys.contains(key)).map(|key| format!("never told: {key}"));
        inner.wrong.iter().cloned().chain(missing).collect()
    }

    /// What it was told.
    pub(crate) fn items(&self) -> BTreeSet<(i64, String)> {
        self.inner.lock().expect("lock").items.iter().cloned().collect()
    }
}

impl Inner {
    /// With this token; what it tells anew was not told.
    fn resume(&mut self) -> String {
        if self.behind < self.at {
            self.items.retain(|(revision, _)| *revision <= self.behind);
            self.at = self.behind;
        }
        self.token.clone()
    }

    fn take(&mut self, response: pb::WatchRevocationsResponse) {
        match response.item {
            Some(Item::Revocation(revocation)) => {
                // Keys that end at one moment are one revision.
                let item = (revocation.revision, revocation.key_id);
                let same = self.items.iter().rev().take_while(|(revision, _)| *revision == item.0);
                let is_told = item.0 == self.at && (self.is_whole || same.into_iter().any(|told| *told == item));
                if item.0 < self.at || is_told {
                    self.wrong.push(format!("{item:?} after {}", self.at));
                }
                (self.at, self.is_whole) = (item.0, false);
                self.items.push(item);
            }
            Some(Item::Bookmark(bookmark)) => {
                if bookmark.revision < self.at {
                    self.wrong.push(format!("a bookmark at {} after {}", bookmark.revision, self.at));
                }
                (self.at, self.is_whole) = (self.at.max(bookmark.revision), true);
            }
            None => self.wrong.push("an item without content".to_owned()),
        }
        self.token = response.resume_token;
        self.behind = ResumeToken::read(&self.token).map_or(self.at, |token| token.position.revision.number());
    }
}

#[cfg(test)]
mod tests {
    use portcullis::domain::{event::Position, id::Revision, token::FilterPrint};

    use super::*;

    fn item(revision: i64, key: &str) -> pb::WatchRevocationsResponse {
        let revocation = pb::Revocation { revision, key_id: key.to_owned(), ..Default::default() };
        pb::WatchRevocationsResponse { item: Some(Item::Revocation(revocation)), ..Default::default() }
    }

    fn bookmark(revision: i64) -> pb::WatchRevocationsResponse {
        let item = Some(Item::Bookmark(pb::Bookmark { revision, ..Default::default() }));
        pb::WatchRevocationsResponse { item, ..Default::default() }
    }

    #[test]
    fn what_is_told_twice_or_late_is_found() {
        let wrong = |items: Vec<pb::WatchRevocationsResponse>| {
            let mut inner = Inner::default();
            items.into_iter().for_each(|item| inner.take(item));
            inner.wrong.len()
        };
        assert_eq!(wrong(vec![bookmark(1), item(2, "a"), item(2, "b"), bookmark(2), item(3, "a")]), 0);
        assert_eq!(wrong(vec![item(2, "a"), item(2, "b"), item(2, "a")]), 1, "twice");
        assert_eq!(wrong(vec![item(3, "a"), item(2, "b")]), 1, "late");
        assert_eq!(wrong(vec![bookmark(2), item(2, "a")]), 1, "all of it had been told");
        assert_eq!(wrong(vec![item(3, "a"), bookmark(2)]), 1, "a bookmark that goes back");
    }

    #[test]
    fn an_event_that_was_cut_is_told_anew_and_a_whole_one_is_not() {
        let token = |revision| {
            let position = Position { revision: Revision::new(revision), event_id: uuid::Uuid::from_u128(9) };
            ResumeToken::new(uuid::Uuid::from_u128(7), position, FilterPrint::of(&[])).encode()
        };
        let wrong = |behind| {
            let mut inner = Inner::default();
            inner.take(pb::WatchRevocationsResponse { resume_token: token(behind), ..item(2, "a") });
            inner.resume();
            inner.take(item(2, "a"));
            inner.take(item(2, "b"));
            (inner.wrong.len(), inner.items.len())
        };
        assert_eq!(wrong(1), (0, 2), "between its items");
        assert_eq!(wrong(2).0, 1, "behind the last of them");
    }
}
