use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Hindrance, Proof, Replica, by_any_clock,
    durability::{self, Durability},
    edge::Edge,
    fork,
    members::Silence,
    run::Run,
};
use crate::{
    guard::{self, Guard},
    index::{Inapplicable, Index},
    meters::{self, Outcome},
    store::{Error, LOG_PAGE, Newcomer, Store, Synced, Turn},
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
    silence: Silence,
    run: Run,
    durability: Durability,
}

/// Why a replica must not serve any more.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Inapplicable(#[from] Inapplicable),
    #[error(transparent)]
    Hindered(Hindrance),
}

impl Stopped {
    /// Whether whoever begins anew, and loads what there is now, may serve.
    #[must_use]
    pub fn may_begin_anew(&self) -> bool {
        matches!(self, Self::Store(Error::Forked | Error::Behind))
    }
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
        let (silence, run) = (Silence::default(), Run::default());
        Self { store, replica, index, tail, edge, turn, silence, run, durability: Durability::default() }
    }

    /// Runs until `stop` is done, then takes the replica's row away; or until the replica
    /// cannot serve any more, and says why. The lease is void afterwards.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), Stopped> {
        tokio::pin!(stop);
        let shared = Arc::clone(&self.replica.shared);
        let store = self.store.clone();
        let listening = tokio::spawn(async move {
            if shared.pace.doorbell {
                store.listen(|| shared.bell.notify_one()).await;
            }
        });
        let ended = loop {
            let begun = self.replica.boottime();
            let turned = self.turn().await;
            let outcome = if turned.is_ok() { Outcome::Ok } else { Outcome::Failed };
            meters::SYNC.record(outcome as usize, self.replica.boottime().saturating_sub(begun));
            let pause = match turned {
                // Whoever is told to stop stops, however much there is to read.
                Ok(true) => tokio::select! {
                    biased;
                    () = &mut stop => break Ok(()),
                    () = std::future::ready(()) => continue,
                },
                Ok(false) => self.rest(),
                Err(stopped) => match self.go_on_after(stopped).await {
                    Ok(pause) => pause,
                    Err(stopped) => break Err(stopped),
                },
            };
            tokio::select! {
                () = &mut stop => break Ok(()),
                () = self.replica.shared.bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        listening.abort();
        self.replica.shared.lease.void();
        if let Err(Stopped::Store(Error::Forked)) = &ended {
            tokio::select! {
                () = &mut stop => tracing::error!("told to stop before the revocations that the fork lost were written again"),
                () = fork::rescue(&self.store, &self.index) => {}
            }
        }
        // Whatever the reason is: it answers nothing any more, and is in the way of others.
        if let Err(error) = self.store.leave(self.turn.replica, self.kept()).await {
            tracing::warn!(%error, "the row of this replica stays, and is taken out by others when its lease is over");
        }
        ended
    }

    /// How long to wait before the next turn, where there may be one.
    async fn go_on_after(&mut self, stopped: Stopped) -> Result<Duration, Stopped> {
        match stopped {
            Stopped::Store(Error::NotRegistered) if self.store.is_shared() => {
                self.replica.shared.lease.void();
                tracing::warn!("taken for dead by the other replicas; joining anew");
                match self.join_anew().await {
                    Ok(()) => Ok(Duration::ZERO),
                    Err(error) => Box::pin(self.go_on_after(error.into())).await,
                }
            }
            Stopped::Store(Error::Weak(weakness)) => {
                durability::refused(weakness);
                self.replica.shared.lease.void();
                let weak = Some(Hindrance::Weak(weakness));
                if self.replica.hindered_by(weak) != weak {
                    tracing::error!(%weakness, "no answer rests on a database that may lose what it acknowledges");
                }
                Ok(RETRY)
            }
            Stopped::Store(error @ Error::Unconfirmed) => {
                self.replica.shared.lease.void();
                self.replica.hindered_by(Some(Hindrance::Unconfirmed));
                if !self.replica.shared.unconfirmed.swap(true, Ordering::AcqRel) {
                    tracing::error!(%error, "nothing is answered: {error}");
                }
                Ok(RETRY)
            }
            Stopped::Store(error @ Error::Unanswered(_)) => {
                // It may have been too much at once: large events, a slow network.
                self.turn.page = (self.turn.page / 2).max(1);
                tracing::warn!(%error, "sync gave up, the lease runs out unless one succeeds");
                self.replica.look_for_hindrance(&self.store).await;
                Ok(Duration::ZERO)
            }
            Stopped::Store(error) if is_passing(&error) => {
                tracing::warn!(%error, "sync failed, the lease runs out unless one succeeds");
                self.replica.hindered_by(None); // whatever it was, it is this now
                self.store.let_go_of_the_file().await;
                Ok(RETRY)
            }
            stopped => Err(stopped),
        }
    }

    /// The table is as good as it was: only nobody counts on this replica any more.
    async fn join_anew(&mut self) -> Result<(), Error> {
        let shared = &self.replica.shared;
        let edge = self.edge.at(shared.clock.boottime());
        let newcomer = Newcomer { loaded: self.turn.applied, edge, lease: shared.pace.lease };
        self.turn.replica = self.store.join(newcomer).await?;
        tracing::info!(replica = %self.turn.replica, "joined anew");
        Ok(())
    }

    /// For how long verifiers may go on with what this replica allowed them to keep.
    fn kept(&self) -> Duration {
        self.index.promised_until().saturating_sub(self.replica.shared.clock.boottime())
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
        let shared = Arc::clone(&self.replica.shared);
        // Before sending: the answer is as old as the question.
        let turn = shared.turns.fetch_add(1, Ordering::AcqRel) + 1;
        let asked_at = shared.clock.boottime();
        // With what is said to be applied: where nothing is cached they are the same.
        self.turn.edge = self.edge.at(asked_at);
        // Of those that are known. In `strict` none is forgotten that was granted a lease.
        let longest_lease = shared.proof.borrow().longest_lease;
        self.turn.outlasting = self.run.outlasting(by_any_clock(longest_lease), asked_at);
        let synced = self.store.sync(self.turn, shared.pace.unanswered()).await?;
        let answered_at = shared.clock.boottime();
        self.turn.page = (2 * self.turn.page).min(LOG_PAGE);
        self.run.saw(synced.entered, answered_at);
        self.replica.hindered_no_more();
        self.durability.tell(&synced);
        self.tell_confirmed();
        let acked = self.turn.applied;
        let Synced { events, more, time, time_at, members, settled, incarnation, .. } = synced;
        let any = !events.is_empty();
        for event in events {
            self.index.apply(&event)?;
            self.edge.applied(event.revision, self.index.cached_until(&event));
            self.turn.applied = event.position();
            self.tail.push(Arc::new(event.for_watchers()));
        }
        shared.time.learn(time, time_at, shared.clock.boottime());
        let before = *shared.proof.borrow();
        let (complete, time) = if more { (before.complete, before.time) } else { (self.turn.applied, time) };
        let lapsed = !shared.lease.holds(shared.clock.boottime());
        if !more {
            shared.lease.grant(asked_at + shared.pace.lease);
        }
        let longest_lease = members.iter().map(|member| member.lease).max().unwrap_or_default().max(shared.pace.lease);
        shared.proof.send_replace(Proof {
            turn,
            asked_at,
            acked,
            acked_by_all: members.iter().map(|member| member.acked).min().unwrap_or_default(),
            edge_by_all: members.iter().map(|member| member.edge).min().unwrap_or_default(),
            longest_lease,
            incarnation,
            settled: settled || !guard::on(Guard::Incarnation),
            complete,
            time,
        });
        let silent = self.silence.of(&members, self.turn.replica, (asked_at, answered_at), lapsed);
        // One a turn: the lease comes first.
        if let Some((id, beat)) = silent.into_iter().next() {
            match self.store.remove_silent(id, beat, shared.pace.unanswered()).await {
                Ok(true) => tracing::warn!(replica = %id, "silent for longer than its lease, and taken for dead"),
                Ok(false) => {}
                Err(error) => tracing::warn!(replica = %id, %error, "a silent replica cannot be taken out yet"),
            }
        }
        Ok(any || more)
    }

    fn tell_confirmed(&self) {
        if self.replica.shared.unconfirmed.swap(false, Ordering::AcqRel) {
            tracing::warn!("what the restored database lost is answered for: answering again");
        }
    }
}

/// Whether the next turn may succeed.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_) | Error::CommitUnknown(_) | Error::TaskLost(_) | Error::Overloaded)
}
