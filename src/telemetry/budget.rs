//! How many lines about failed calls are written: anyone who can connect can make calls
//! fail, and must not fill the disk that way.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use crate::meters;

/// Lines a second.
pub(super) const LIMIT: u64 = 50;

/// At most 50 lines a second of one sort.
#[derive(Debug)]
pub struct Budget {
    start: Instant,
    /// The second since `start`, and the lines written in it in the lowest 16 bits.
    written: AtomicU64,
    left_out: AtomicU64,
}

impl Budget {
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), written: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Asks for a line. `Some` grants it and says how many were left out since the last one.
    pub fn take(&self) -> Option<u64> {
        self.take_at(self.start.elapsed())
    }

    fn take_at(&self, now: Duration) -> Option<u64> {
        let second = now.as_secs() << 16;
        let granted = self.written.fetch_update(Relaxed, Relaxed, |written| {
            let next = written.max(second) + 1;
            (next & 0xffff <= LIMIT).then_some(next)
        });
        if granted.is_err() {
            self.left_out.fetch_add(1, Relaxed);
            meters::LOG_LEFT_OUT.count(0);
            return None;
        }
        Some(self.left_out.swap(0, Relaxed))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_limit_and_counted() {
        let budget = Budget::new();
        let granted = |at: u64| (0..1_000).filter_map(|_| budget.take_at(Duration::from_secs(at))).collect::<Vec<_>>();
        assert_eq!(granted(0), vec![0; 50]);
        let later = granted(7);
        assert_eq!((later.len(), later[0], later[1]), (50, 950, 0), "the first line of the next second says it");
        // A thread that read the clock before the others opens no new second.
        assert_eq!(granted(6), Vec::<u64>::new());
    }
}
