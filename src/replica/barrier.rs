use std::time::Duration;

use tokio::time::Instant;

use super::{Proof, Replica, by_any_clock};
use crate::{
    domain::{
        id::{Revision, Versioned},
        refusal::Refusal,
    },
    guard::{self, Guard},
    meters::{self, Waited},
    store::{Committed, Incarnation},
};

/// Who must answer by a mutation before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Every replica, and every verifier that caches: each answer that it may give again by
    /// itself is over. Only a mutation that takes something away waits for those.
    Everywhere,
    Replicas,
    /// Nobody: it is committed, and replicas follow within a period, or when their lease is over. That a
    /// failover keeps it is not looked at.
    None,
}

/// How long a mutation may wait for them.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub wait: Wait,
    /// Before the caller's own deadline, so that it hears what was done.
    pub until: Instant,
}

/// After how long others are asked again first, while this replica has done its part: they do theirs
/// at the same time, and it takes them as long as it took this one. Then each time twice as long.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// What is waited for.
struct Wanted {
    revision: Revision,
    /// When its commit was acknowledged, on the clock since boot.
    at: Duration,
    incarnation: Incarnation,
    everywhere: bool,
}

impl Wanted {
    /// Whether this replica's own sync says that it will not be lost: one that began after the commit
    /// was acknowledged, which may have been told too early, and in the same run of the server: one
    /// that took over may have given its number to another mutation. Time never stands in for it.
    fn is_durable(&self, proof: &Proof) -> bool {
        let is_same = proof.incarnation == self.incarnation || !guard::on(Guard::Run);
        let is_later = proof.asked_at >= self.at && proof.acked.revision >= self.revision;
        is_later && is_same || !guard::on(Guard::Acked)
    }

    /// Whether every member has said that it answers by it.
    fn is_said_by_all(&self, proof: &Proof) -> bool {
        let by_all = if self.everywhere { proof.edge_by_all } else { proof.acked_by_all };
        proof.settled && by_all >= self.revision
    }
}

impl Replica {
    /// Waits at the barrier. OK only when this replica's own later sync was durable, and
    /// every member has applied the mutation, and has it at its edge where that is asked
    /// for, or must have stopped answering.
    pub async fn confirm<T>(&self, committed: Committed<T>, patience: Patience) -> Result<(T, Revision), Refusal> {
        let Committed { value, revision, at, incarnation, narrows } = committed;
        if patience.wait == Wait::None || !guard::on(Guard::Barrier) {
            return Ok((value, revision));
        }
        let everywhere = patience.wait == Wait::Everywhere && narrows;
        let wanted = Wanted { revision, at, incarnation, everywhere };
        let waited = if everywhere { Waited::Everywhere } else { Waited::Replicas };
        let mut proofs = self.proofs();
        let mut ask_again = ASK_AGAIN;
        let mut ring = true;
        loop {
            let proof = *proofs.borrow_and_update();
            let by_us = wanted.is_durable(&proof);
            let over_in = self.over(&wanted, &proof).saturating_sub(self.shared.clock.boottime());
            if by_us && (wanted.is_said_by_all(&proof) || over_in.is_zero()) {
                meters::BARRIER.record(waited as usize, self.shared.clock.boottime().saturating_sub(at));
                return Ok((value, revision));
            }
            if Instant::now() >= patience.until {
                meters::NOT_CONFIRMED.count(waited as usize);
                return Err(Refusal::CommittedNotConfirmed(revision));
            }
            if self.shared.pace.rings && (ring || !by_us) {
                self.shared.bell.notify_one();
            }
            ring = false;
            let rest = if over_in.is_zero() { ask_again } else { ask_again.min(over_in) };
            tokio::select! {
                changed = proofs.changed() => changed.map_err(|_| Refusal::CommittedNotConfirmed(revision))?,
                () = tokio::time::sleep(rest) => {
                    ring = true;
                    ask_again = (2 * ask_again).min(self.shared.pace.every);
                }
                () = tokio::time::sleep_until(patience.until) => {}
            }
        }
    }

    /// When no lease from before the commit holds any more, nor an answer that was cached inside one.
    fn over(&self, wanted: &Wanted, proof: &Proof) -> Duration {
        let kept_until = if wanted.everywhere { self.shared.kept_until } else { Duration::ZERO };
        (wanted.at + by_any_clock(proof.longest_lease)).max(kept_until)
    }

    /// Rings for the loop, and waits for nobody: of what the service does by itself. Nobody is
    /// told that it is in effect, so nothing is promised; and what ends by its time is answered by
    /// the time itself, at every replica, before this is written and after.
    pub fn announce<T>(&self, committed: Committed<T>) -> T {
        if self.shared.pace.rings {
            self.shared.bell.notify_one();
        }
        committed.value
    }

    /// As [`Replica::confirm`], for a thing that the mutation may have left as it was.
    pub async fn confirm_change<T: Versioned>(
        &self,
        committed: Committed<(T, bool)>,
        patience: Patience,
    ) -> Result<(T, Revision), Refusal> {
        let ((mut thing, changed), revision) = self.confirm(committed, patience).await?;
        if changed {
            thing.changed_by(revision);
        }
        Ok((thing, revision))
    }
}
