use std::{sync::Arc, time::Duration};

use super::{Proof, Replica, edge::Edge};
use crate::{
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
    edge: Edge,
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

/// At the least between two turns with nothing new.
const LEAST_REST: Duration = Duration::from_millis(1);
/// After a failed turn.
const RETRY: Duration = Duration::from_millis(200);

impl SyncLoop {
    pub(super) fn new(
        store: Store,
        replica: Replica,
        index: Arc<Index>,
        tail: Arc<Tail>,
        edge: Edge,
        turn: Turn,
    ) -> Self {
        Self { store, replica, index, tail, edge, turn }
    }

    /// Runs until `stop` is done, then takes the replica's row away; or until the replica
    /// cannot serve any more, and says why. The lease is void afterwards.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), Stopped> {
        tokio::pin!(stop);
        let ended = loop {
            let pause = match self.turn().await {
                Ok(true) => continue,
                Ok(false) => self.rest(),
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

    /// How long there is nothing to do: until the lease is due, or a revision reaches the edge.
    fn rest(&self) -> Duration {
        let shared = &self.replica.shared;
        let edge = self.edge.next().map(|next| next.saturating_sub(shared.clock.boottime()).max(LEAST_REST));
        edge.unwrap_or(Duration::MAX).min(shared.pace.every)
    }

    /// One turn. Answers whether there is more to do at once: what was applied is to be
    /// said, or more is to be read.
    async fn turn(&mut self) -> Result<bool, Stopped> {
        let shared = &self.replica.shared;
        // Before sending: the answer is as old as the question.
        let asked_at = shared.clock.boottime();
        // With what is said to be applied: where nothing is cached they are the same.
        self.turn.edge = self.edge.at(asked_at);
        let Synced { events, more, time, time_at, acked_by_all, edge_by_all } = self.store.sync(self.turn).await?;
        let acked = self.turn.applied;
        let any = !events.is_empty();
        for event in events {
            self.index.apply(&event)?;
            self.edge.applied(event.revision, self.index.cached_until(&event));
            self.turn.applied = event.position();
            self.tail.push(Arc::new(event));
        }
        shared.time.learn(time, time_at, shared.clock.boottime());
        let before = *shared.proof.borrow();
        let (complete, time) = if more { (before.complete, before.time) } else { (self.turn.applied, time) };
        if !more {
            shared.lease.grant(asked_at + shared.pace.lease);
        }
        shared.proof.send_replace(Proof { asked_at, acked, acked_by_all, edge_by_all, complete, time });
        Ok(any || more)
    }
}
