use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use crate::domain::{
    time::Timestamp,
    usage::{Counted, Counts, Tallied},
    verdict::Verdict,
};

/// Calls of one key in one hour that are not taken yet. One flush takes; anybody counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By verdict. The highest bit: closed, whatever is added does not count.
    counts: [AtomicU64; Verdict::ALL.len()],
    /// Microseconds; 0: none since it was taken.
    last_valid: AtomicI64,
    /// How many times in a row there was nothing to take.
    idle: AtomicU32,
}

const CLOSED: u64 = 1 << 63;
/// Kept for so many flushes without a call: a key in steady use never makes a new tally.
const IDLE: u32 = 10;

impl Tally {
    /// `false`: it is closed, and the call is not counted.
    pub(super) fn count(&self, verdict: Verdict, now: Timestamp) -> bool {
        // Before the count: whoever takes the count finds it, or it was taken already.
        if verdict == Verdict::Valid && self.last_valid.load(Ordering::Relaxed) < now.micros() {
            self.last_valid.fetch_max(now.micros(), Ordering::Relaxed);
        }
        self.counts[verdict as usize].fetch_add(1, Ordering::AcqRel) & CLOSED == 0
    }

    pub(super) fn take(&self, of: Counted) -> Option<Tallied> {
        // Most are empty, and to look is cheaper than to swap.
        let taken = self.taken(of, |count| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::AcqRel),
        });
        let idle = if taken.is_some() { 0 } else { self.idle.load(Ordering::Relaxed) + 1 };
        self.idle.store(idle, Ordering::Relaxed);
        taken
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed) >= IDLE
    }

    /// Takes the last of it, and lets nothing in any more.
    pub(super) fn close(&self, of: Counted) -> Option<Tallied> {
        self.taken(of, |count| count.fetch_or(CLOSED, Ordering::AcqRel))
    }

    /// Or about to be: it may leave the map, whoever closes it takes what still gets in.
    pub(super) fn is_closed(&self) -> bool {
        self.counts.iter().any(|count| count.load(Ordering::Acquire) & CLOSED != 0)
    }

    fn taken(&self, of: Counted, take: impl Fn(&AtomicU64) -> u64) -> Option<Tallied> {
        let counts: Counts = self.counts.each_ref().map(take);
        let last_valid = Some(self.last_valid.swap(0, Ordering::AcqRel)).filter(|micros| *micros != 0);
        let any = counts.iter().any(|count| *count > 0) || last_valid.is_some();
        any.then(|| Tallied { of, counts, last_valid: last_valid.map(Timestamp::from_micros) })
    }
}
