use std::{mem, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::Usage;
use crate::{
    domain::usage::Tallied,
    store::{Error, Store},
};

/// Adds what was counted to the store, once a second. The only one that takes.
#[derive(Debug)]
pub struct Flush {
    usage: Usage,
    store: Store,
    /// Under which name this process numbers its batches, and the last number that was added.
    source: Option<(Uuid, i64)>,
    /// Taken, and yet to be sent.
    waiting: Vec<Tallied>,
    sent: Option<Sent>,
}

/// A batch until it is known to be added: always the same under the same number.
#[derive(Debug)]
struct Sent {
    tallied: Arc<[Tallied]>,
    /// Its commit did not answer.
    maybe_added: bool,
}

const EVERY: Duration = Duration::from_secs(1);
/// Tallies a batch: a transaction is short, however much was counted.
const BATCH: usize = 1000;
/// Beyond so many tallies that do not get through, counts are dropped rather than memory
/// filled: as many keys and hours as some 200 MB hold.
const MAX_KEPT: usize = 1_000_000;
const RETRY: Duration = Duration::from_millis(200);

impl Flush {
    pub(super) fn new(usage: Usage, store: Store) -> Self {
        Self { usage, store, source: None, waiting: Vec::new(), sent: None }
    }

    /// Runs until `stop` says by when it is to have ended, and adds then what was counted last. Nothing may be
    /// counted behind that. Answers how many calls the database did not take in time, or may not have.
    pub async fn run(mut self, stop: watch::Receiver<Option<Instant>>) -> u64 {
        let mut told = stop.clone();
        let late = async {
            let by = told.wait_for(Option::is_some).await.ok().and_then(|by| *by);
            if let Some(by) = by {
                tokio::time::sleep_until(by).await;
            }
        };
        tokio::select! {
            () = self.go_on(stop) => 0,
            () = late => self.left(),
        }
    }

    async fn go_on(&mut self, mut stop: watch::Receiver<Option<Instant>>) {
        let usage = self.usage.clone();
        loop {
            tokio::select! {
                _ = stop.wait_for(Option::is_some) => break,
                () = usage.shared.bell.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "usage was not added, trying again in a second");
                self.shed();
            }
        }
        while let Err(error) = self.pass().await {
            tracing::warn!(%error, "the last usage was not added, trying again");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// How many calls nobody adds any more.
    fn left(&self) -> u64 {
        let sent = self.sent.iter().flat_map(|sent| sent.tallied.iter());
        let calls = sent.chain(&self.waiting).flat_map(|tallied| tallied.counts);
        calls.fold(self.usage.discard(), u64::saturating_add)
    }

    /// Adds all that was counted before it began.
    async fn pass(&mut self) -> Result<(), Error> {
        self.send().await?;
        self.usage.shared.passes.send_modify(|passes| passes.begun += 1);
        self.waiting = self.usage.take();
        // In the order of the rows, which is one order for everybody who writes them.
        self.waiting.sort_unstable_by_key(|tallied| tallied.of);
        self.send().await?;
        self.usage.shared.passes.send_modify(|passes| passes.added = passes.begun);
        Ok(())
    }

    /// Sends all that waits, a batch at a time. After an error the same batch is sent again
    /// under the same number.
    async fn send(&mut self) -> Result<(), Error> {
        loop {
            let Some(sent) = self.sent.take().or_else(|| self.next()) else { return Ok(()) };
            let sent = self.sent.insert(sent);
            let (source, last) = match self.source {
                Some(source) => source,
                None => *self.source.insert((self.store.begin_usage_source().await?, 0)),
            };
            match self.store.add_usage(source, last + 1, Arc::clone(&sent.tallied)).await {
                Ok(()) => {
                    self.source = Some((source, last + 1));
                    self.sent = None;
                }
                Err(error) => {
                    self.failed(&error);
                    return Err(error);
                }
            }
        }
    }

    fn failed(&mut self, error: &Error) {
        let Some(sent) = &mut self.sent else { return };
        match error {
            Error::CommitUnknown(_) | Error::TaskLost(_) => sent.maybe_added = true,
            Error::SourceForgotten => {
                self.source = None;
                // Whether it was added nobody can tell any more, and nothing is counted twice.
                if sent.maybe_added {
                    let calls: u64 = sent.tallied.iter().flat_map(|tallied| tallied.counts).sum();
                    tracing::error!(calls, "whether these were added is not known, and they are dropped");
                    self.sent = None;
                }
            }
            _ => {}
        }
    }

    fn next(&mut self) -> Option<Sent> {
        let rest = self.waiting.split_off(self.waiting.len().min(BATCH));
        let tallied: Arc<[Tallied]> = mem::replace(&mut self.waiting, rest).into();
        (!tallied.is_empty()).then_some(Sent { tallied, maybe_added: false })
    }

    /// While nothing gets through, tallies grow by keys and hours; not without a bound.
    fn shed(&self) {
        if self.usage.shared.tallies.len() > MAX_KEPT {
            let calls = self.usage.discard();
            tracing::error!(calls, "too much usage waits for the database, and these calls go uncounted");
        }
    }
}
