//! This process as one of the replicas of one history: the lease that says it is fresh,
//! the loop that renews it, and the barrier that a mutation waits at.
//!
//! The loop says what it has applied, reads what comes next, applies it, and says so: in
//! this order (`sync`). An answer from the index is given only inside the lease; a
//! mutation returns only when every replica has said that it applied it, or must have
//! stopped answering. With one member it is the same loop.

mod barrier;
mod durability;
mod edge;
mod fork;
mod fresh;
mod hindrance;
mod join;
mod lease;
mod members;
mod run;
mod sync;
mod time;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

pub use barrier::{Patience, Wait};
pub use hindrance::Hindrance;
pub use join::Joined;
pub use sync::{Stopped, SyncLoop};

use crate::{
    clock::Clock,
    domain::{event::Position, id::Revision, refusal::Refusal, time::Timestamp},
    index::Index,
    store::Incarnation,
};
use lease::Lease;
use time::DatabaseTime;

/// How often, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long an answer may rest on a sync.
    pub lease: Duration,
    /// How often it is renewed when nothing happens.
    pub every: Duration,
    /// Whether a writer rings for the loop of its own replica. A hint only: without it everything
    /// holds, a period later.
    pub rings: bool,
    /// Whether the doorbell of the other replicas' writers is listened to. A hint as well.
    pub doorbell: bool,
    /// Whether nothing is answered from a database that may lose what it acknowledges.
    pub strict: bool,
}

impl Pace {
    /// After how long a sync is given up and begun anew: a connection that is dead without a word
    /// must not cost the lease.
    fn unanswered(&self) -> Duration {
        (self.lease / 3).min(Duration::from_secs(3))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            every: Duration::from_secs(1),
            rings: true,
            doorbell: true,
            strict: true,
        }
    }
}

/// What the last sync proved.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// Its number among the syncs of this replica, in the order in which they began.
    turn: u64,
    /// The clock since boot, before the sync was sent.
    pub(crate) asked_at: Duration,
    /// What this replica had applied and said so, durably.
    pub(crate) acked: Position,
    /// What every replica had.
    pub(crate) acked_by_all: Revision,
    /// What had reached the edge of every replica: no verifier answers by what was before.
    pub(crate) edge_by_all: Revision,
    /// Of all members.
    pub(crate) longest_lease: Duration,
    /// The run of the server that the sync was written in.
    pub(crate) incarnation: Incarnation,
    /// Whether the database can have forgotten no member whose lease still holds.
    pub(crate) settled: bool,
    /// All that there was at `time` is applied here.
    pub complete: Position,
    /// The database's time.
    pub time: Timestamp,
}

/// The handle that everybody else holds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replica {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    lease: Lease,
    time: DatabaseTime,
    bell: Notify,
    pace: Pace,
    proof: watch::Sender<Proof>,
    /// How many syncs have begun.
    turns: AtomicU64,
    /// Whether the database was restored, and nobody has answered for what it lost.
    unconfirmed: AtomicBool,
    /// Why no sync succeeds, where that is known.
    hindrance: Mutex<Option<Hindrance>>,
    /// Until when verifiers may keep what a process before this one told them, on the clock since boot.
    kept_until: Duration,
}

/// How often the loop is rung for by calls that want a revision at least.
const REACH_EVERY: Duration = Duration::from_millis(20);
/// How long a call waits for a revision that it wants at least.
const BRIEFLY: Duration = Duration::from_secs(2);

impl Replica {
    /// Whether an answer from the index may be given now.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.shared.lease.holds(self.shared.clock.boottime())
    }

    /// The database's time, as far as this replica can tell: never behind it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.time.at(self.shared.clock.boottime())
    }

    /// What the last sync proved, and every later one.
    #[must_use]
    pub fn proofs(&self) -> watch::Receiver<Proof> {
        self.shared.proof.subscribe()
    }

    /// Waits until `revision` is applied: for a short time, and not after `until`. Refuses as
    /// soon as a sync that began after this call has found that there is no such revision.
    pub async fn reach(&self, index: &Index, revision: Revision, until: Instant) -> Result<(), Refusal> {
        let mut proofs = self.proofs();
        let begun = self.turns_begun();
        let reached_or_not = async {
            // However many ask for what is not there: the loop turns for them so often at most.
            let since = self.boottime().saturating_sub(proofs.borrow().asked_at);
            tokio::time::sleep(REACH_EVERY.saturating_sub(since)).await;
            self.shared.bell.notify_one();
            while index.applied() < revision {
                if proofs.changed().await.is_err() {
                    return;
                }
                let proof = *proofs.borrow_and_update();
                let is_all = proof.complete.revision == index.applied();
                if proof.turn > begun && is_all {
                    return;
                }
            }
        };
        let briefly = Instant::now() + BRIEFLY;
        let _ = tokio::time::timeout_at(until.min(briefly), reached_or_not).await;
        let applied = index.applied();
        if applied >= revision { Ok(()) } else { Err(Refusal::RevisionNotReached { applied }) }
    }

    /// Whichever has a greater number began after this: clocks may stand still.
    fn turns_begun(&self) -> u64 {
        self.shared.turns.load(Ordering::Acquire)
    }

    /// Waits for one sync that begins after this call, for a short time.
    pub async fn sync_pass(&self) {
        let begun = self.turns_begun();
        let mut proof = self.shared.proof.subscribe();
        self.shared.bell.notify_one();
        let passed = async { proof.wait_for(|proof| proof.turn > begun).await.map(drop) };
        let _ = tokio::time::timeout(2 * self.shared.pace.every, passed).await;
    }

    /// Waits for a moment on the clock since boot, and not beyond `until`: whether it has come.
    pub async fn outlast(&self, moment: Duration, until: Instant) -> bool {
        while self.boottime() < moment {
            let now = Instant::now();
            if now >= until {
                return false;
            }
            tokio::time::sleep(REACH_EVERY.min(until - now)).await;
        }
        true
    }

    /// The clock since boot, by which leases run.
    #[must_use]
    pub fn boottime(&self) -> Duration {
        self.shared.clock.boottime()
    }
}

/// As long as a time must be taken to be here, when somebody else measures it: 5 % for
/// clocks that run at different speeds.
#[must_use]
pub fn by_any_clock(duration: Duration) -> Duration {
    duration.mul_f64(1.05)
}
