//! How a process becomes a replica: it loads the index, registers, and waits until whoever had
//! the database before must have stopped answering.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{
    Pace, Proof, REACH_EVERY, Replica, Shared, by_any_clock,
    edge::Edge,
    hindrance::Hindrance,
    lease::Lease,
    sync::{Stopped, SyncLoop},
    time::DatabaseTime,
};
use crate::{
    clock::Clock,
    domain::{application::Application, event::Position, id::Revision, time::Timestamp},
    index::Index,
    store::{Error, Incarnation, LOG_PAGE, Newcomer, Store, Turn},
    tail::Tail,
};

/// A replica that has joined.
#[derive(Debug)]
pub struct Joined {
    /// Of its row, until it is taken out and joins anew.
    pub id: Uuid,
    pub replica: Replica,
    pub index: Arc<Index>,
    pub tail: Arc<Tail>,
    pub sync: SyncLoop,
    /// The name of the history.
    pub log_id: Uuid,
}

impl Replica {
    /// Loads the index, registers, and answers with what keeps it fresh. Nothing is fresh
    /// before the loop's first turn.
    pub async fn join(store: &Store, clock: &Clock, pace: Pace) -> Result<Joined, Stopped> {
        let left = store.left_behind().await?;
        let index = Arc::new(Index::default());
        let loaded = store.load(|keys| index.load_keys(keys)).await?;
        let (position, log_id) = (loaded.position, loaded.log_id);
        // Whoever had the database before handed out its last answer before now, and inside its
        // lease. What verifiers may still do with it is for this replica to wait for.
        let (now, begun) = (loaded.time, clock.boottime());
        let cached_until = |application: &Application| match application.may_be_cached_for(now).min(left.lease) {
            Duration::ZERO => Duration::ZERO,
            ttl => begun + by_any_clock(ttl),
        };
        let kept_until = loaded.applications.iter().map(cached_until).max().unwrap_or_default();
        let time = DatabaseTime::new(loaded.time, loaded.time_at);
        let shared = Shared::new(clock.clone(), pace, time, Proof::of_nothing(position, now, pace.lease), kept_until);
        index.load(position.revision, loaded.applications, loaded.accounts, cached_until)?;
        let mut edge = Edge::new(position.revision, kept_until);
        let id = register(store, Newcomer { loaded: position, edge: edge.at(begun), lease: pace.lease }).await?;
        if left.may_answer {
            outlive(clock, left.lease).await;
        }
        let replica = Self { shared: Arc::new(shared) };
        let tail = Arc::new(Tail::new(position));
        let turn = Turn {
            replica: id,
            applied: position,
            edge: Revision::default(),
            page: LOG_PAGE,
            strict: pace.strict,
            outlasting: None,
        };
        let sync = SyncLoop::new(store.clone(), replica.clone(), Arc::clone(&index), Arc::clone(&tail), edge, turn);
        Ok(Joined { id, replica, index, tail, sync, log_id })
    }
}

async fn register(store: &Store, newcomer: Newcomer) -> Result<Uuid, Stopped> {
    match store.join(newcomer).await {
        Err(error @ Error::Unanswered(_)) => Err(Hindrance::of(store).await.map_or(error.into(), Stopped::Hindered)),
        joined => Ok(joined?),
    }
}

/// Waits for whoever had the database before. Its row is gone: it ends at its next sync. Until
/// then it may answer, inside its lease.
async fn outlive(clock: &Clock, lease: Duration) {
    let wait = by_any_clock(lease);
    let over = clock.boottime() + wait;
    tracing::warn!(?wait, "the database is on a network and was not closed: who had it before may still answer");
    while clock.boottime() < over {
        tokio::time::sleep(REACH_EVERY).await;
    }
}

impl Shared {
    fn new(clock: Clock, pace: Pace, time: DatabaseTime, proof: Proof, kept_until: Duration) -> Self {
        Self {
            clock,
            lease: Lease::default(),
            time,
            bell: Notify::new(),
            pace,
            proof: watch::Sender::new(proof),
            turns: AtomicU64::new(0),
            unconfirmed: AtomicBool::new(false),
            hindrance: Mutex::default(),
            kept_until,
        }
    }
}

impl Proof {
    /// Before the first sync.
    fn of_nothing(loaded: Position, time: Timestamp, longest_lease: Duration) -> Self {
        Self {
            turn: 0,
            asked_at: Duration::ZERO,
            acked: loaded,
            acked_by_all: Revision::default(),
            edge_by_all: Revision::default(),
            longest_lease,
            incarnation: Incarnation::default(),
            settled: false,
            complete: loaded,
            time,
        }
    }
}
