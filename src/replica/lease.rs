use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Replica;
use crate::guard::{self, Guard};

/// Until when answers from the index may be given, on the clock since boot. Zero: not.
#[derive(Debug, Default)]
pub(super) struct Lease(AtomicU64);

impl Lease {
    pub(super) fn holds(&self, now: Duration) -> bool {
        !guard::on(Guard::Lease) || nanos(now) < self.0.load(Ordering::Acquire)
    }

    /// What is left of it.
    pub(super) fn rest(&self, now: Duration) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire)).saturating_sub(now)
    }

    pub(super) fn grant(&self, until: Duration) {
        self.0.store(nanos(until), Ordering::Release);
    }

    pub(super) fn void(&self) {
        self.0.store(0, Ordering::Release);
    }
}

impl Replica {
    /// How long, from `now` on the clock since boot, an answer may be given that is looked up
    /// after this call: a lease says nothing about what was looked up before it was granted.
    #[must_use]
    pub fn lease_rest(&self, now: Duration) -> Duration {
        self.shared.lease.rest(now)
    }

    /// How long ago the sync was sent that the last lease rests on.
    #[must_use]
    pub fn lease_age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.shared.proof.borrow().asked_at)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
