use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::domain::{
    id::{ApplicationId, KeyId},
    subnet::Subnet,
    time::Timestamp,
    verdict::KeyFacts,
};

/// What was seen of a key. A count that is lost between two threads is lost: nothing is
/// decided by it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) application_id: ApplicationId,
    pub(super) chain: KeyId,
    /// The hour above, its calls below.
    calls: AtomicU64,
    /// The network of the last good call, once it is in memory.
    near: AtomicU64,
    /// What was sent since the last sweep, a bit each.
    marks: AtomicU64,
    /// Refused calls since the watch looked.
    denied: AtomicU32,
    /// Networks that were new here since the last sweep.
    met: AtomicU32,
}

/// The mark of a key that was used after its end; those below are of its limits.
pub(super) const REVOKED: usize = 63;
const HOUR: i64 = 3_600;

/// Since the Unix epoch.
pub(super) fn hour(now: Timestamp) -> u32 {
    u32::try_from(now.seconds().div_euclid(HOUR)).unwrap_or_default()
}

impl Seen {
    pub(super) fn of(key: &KeyFacts) -> Self {
        Self {
            application_id: key.application_id,
            chain: key.chain,
            calls: AtomicU64::new(0),
            near: AtomicU64::new(0),
            marks: AtomicU64::new(0),
            denied: AtomicU32::new(0),
            met: AtomicU32::new(0),
        }
    }

    pub(super) fn count(&self, hour: u32) {
        let known = self.calls.load(Relaxed);
        let first = u64::from(hour) << 32 | 1;
        // Whoever is late counts in the hour that has begun.
        if known >= first - 1 || self.calls.compare_exchange(known, first, Relaxed, Relaxed).is_err() {
            self.calls.fetch_add(1, Relaxed);
        }
    }

    /// The hour of the last call, and how many there were in it.
    pub(super) fn calls(&self) -> (u32, u32) {
        let calls = self.calls.load(Relaxed);
        ((calls >> 32) as u32, calls as u32)
    }

    /// Whether this was the first since the watch looked.
    pub(super) fn deny(&self) -> bool {
        self.denied.fetch_add(1, Relaxed) == 0
    }

    pub(super) fn has_denied(&self) -> bool {
        self.denied.load(Relaxed) > 0
    }

    pub(super) fn take_denied(&self) -> u32 {
        self.denied.swap(0, Relaxed)
    }

    /// Whether it was not marked before.
    pub(super) fn mark(&self, bit: usize) -> bool {
        let mark = 1 << bit;
        self.marks.load(Relaxed) & mark == 0 && self.marks.fetch_or(mark, Relaxed) & mark == 0
    }

    pub(super) fn is_near(&self, network: Subnet) -> bool {
        self.near.load(Relaxed) == network.number()
    }

    pub(super) fn is_now_near(&self, network: Subnet) {
        self.near.store(network.number(), Relaxed);
    }

    /// Counts a network, unless there were so many.
    pub(super) fn meets_one_of(&self, most: u32) -> bool {
        self.met.load(Relaxed) < most && self.met.fetch_add(1, Relaxed) < most
    }

    /// Makes room for what was sent before; answers how many networks there were.
    pub(super) fn sweep(&self) -> u32 {
        self.marks.store(0, Relaxed);
        self.near.store(0, Relaxed);
        self.met.swap(0, Relaxed)
    }
}
