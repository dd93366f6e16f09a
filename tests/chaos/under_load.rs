//! Three replicas under clients and watchers, while something is done to them; and what must be true of
//! what those saw.

use std::{sync::Arc, time::Duration};

use portcullis::pb;
use tokio::task::{JoinSet, block_in_place};

use crate::{
    book::Book,
    clients::{self, Applications},
    fleet::Fleet,
    recovery,
    watchers::{self, Told},
    wish::Wish,
};

/// What everybody must be back within, by themselves: a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct UnderLoad {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) book: Arc<Book>,
    tasks: JoinSet<()>,
    watchers: Vec<Arc<Told>>,
}

impl UnderLoad {
    pub(crate) async fn begin(wish: &Wish) -> Self {
        let fleet = Arc::new(Fleet::start(wish).await);
        let applications = Applications::of(&fleet).await;
        let (book, mut tasks) = (Arc::new(Book::new()), JoinSet::new());
        let watchers = watchers::begin(&fleet, &book, 1, &mut tasks).await;
        clients::begin(&fleet, &book, &applications, 1, &mut tasks);
        Self { fleet, book, tasks, watchers }
    }

    /// Waits until clients were promised so many more revocations. Says how many there are in all.
    pub(crate) async fn revocations(&self, more: usize) -> usize {
        let wanted = self.book.revoked().len() + more;
        for _ in 0..1200 {
            let revoked = self.book.revoked().len();
            if revoked >= wanted {
                return revoked;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} revocations of {wanted}, and nothing is wrong", self.book.revoked().len());
    }

    /// All is well from here on: everything works again, and the clients end.
    pub(crate) async fn all_is_well(&mut self) {
        recovery::answers_again(&self.fleet, SOON).await;
        self.book.calm_down();
        assert_eq!(recovery::works_again(&self.fleet, &self.book, SOON).await, [""; 0]);
        self.book.close();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a client");
        }
    }

    /// All that was acknowledged is kept: at every replica, by what clients saw, and by what watchers were told.
    pub(crate) async fn is_kept(&self) {
        let Self { fleet, book, .. } = self;
        let (settled, acknowledged) = (book.now(), book.revoked());
        let head = fleet.create(0, "last").await.expect("create").revision;
        recovery::sweep(fleet, book).await;
        for known in book.keys().iter().filter(|known| acknowledged.iter().any(|id| **id == *known.id)) {
            for at in 0..fleet.replicas.len() {
                let verdict = fleet.verdict(at, &known.secret).await.expect("verify");
                assert_eq!(verdict, pb::Verdict::Revoked, "{}", known.id);
            }
        }
        let mut wrong = book.judge(settled);
        for told in &self.watchers {
            told.finish(fleet, book, 0, head).await;
            wrong.extend(told.judge(&acknowledged));
        }
        wrong.extend(block_in_place(|| fleet.history_is_whole()));
        assert_eq!(wrong, [""; 0]);
    }
}
