use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Proof, Replica};
use crate::{
    domain::event::Position,
    index::{Inapplicable, Index},
    store::{Error, Store, Synced, Turn},
    tail::Tail,
};

/// Renews the lease and feeds the index. The only writer of both.
#[derive(Debug)]
pub struct SyncLoop {
    store: Store,
    replica: Replica,
    index: Arc<Index>,
    tail: Arc<Tail>,
    turn: Turn,
}

/// Why a replica must not serve any more.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Inapplicable(#[from] Inapplicable),
}

/// After a failed turn.
const RETRY: Duration = Duration::from_millis(200);

impl SyncLoop {
    pub(super) fn new(
        store: Store,
        replica: Replica,
        index: Arc<Index>,
        tail: Arc<Tail>,
        id: Uuid,
        applied: Position,
    ) -> Self {
        Self { store, replica, index, tail, turn: Turn { replica: id, applied } }
    }

    /// Runs until `stop` is done, then takes the replica's row away; or until the replica
    /// cannot serve any more, and says why. The lease is void afterwards.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), Stopped> {
        tokio::pin!(stop);
        let ended = loop {
            let pause = match self.turn().await {
                Ok(true) => continue,
                Ok(false) => self.replica.shared.pace.every,
                Err(Stopped::Store(error @ (Error::Unavailable(_) | Error::CommitUnknown(_)))) => {
                    tracing::warn!(%error, "sync failed, the lease runs out unless one succeeds");
                    RETRY
                }
                Err(stopped) => break Err(stopped),
            };
            tokio::select! {
                () = &mut stop => break Ok(()),
                () = self.replica.shared.bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        self.replica.shared.lease.void();
        if ended.is_ok() {
            self.store.leave(self.turn.replica).await?;
        }
        ended
    }

    /// One turn. Answers whether there is more to do at once: what was applied is to be
    /// said, or more is to be read.
    async fn turn(&mut self) -> Result<bool, Stopped> {
        let shared = &self.replica.shared;
        // Before sending: the answer is as old as the question.
        let asked_at = shared.clock.boottime();
        let Synced { events, more, time, time_at, acked_by_all } = self.store.sync(self.turn).await?;
        let acked = self.turn.applied;
        let any = !events.is_empty();
        for event in events {
            self.index.apply(&event)?;
            self.turn.applied = event.position();
            self.tail.push(Arc::new(event));
        }
        shared.time.learn(time, time_at, shared.clock.boottime());
        let before = *shared.proof.borrow();
        let (complete, time) = if more { (before.complete, before.time) } else { (self.turn.applied, time) };
        if !more {
            shared.lease.grant(asked_at + shared.pace.lease);
        }
        shared.proof.send_replace(Proof { asked_at, acked, acked_by_all, complete, time });
        Ok(any || more)
    }
}
