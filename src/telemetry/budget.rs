//! How many lines about failed calls are written: anyone who can connect can make calls
//! fail, and must not fill the disk that way.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use crate::meters::{self, LeftOut};

/// Lines a second.
pub(super) const LIMIT: u64 = 50;

/// At most so many lines of one sort in so long a time.
#[derive(Debug)]
pub struct Budget {
    lines: u64,
    every: Duration,
    start: Instant,
    /// How often that time has passed since `start`, and the lines written since in the lowest 16 bits.
    written: AtomicU64,
    left_out: AtomicU64,
}

impl Budget {
    /// 50 a second.
    #[must_use]
    pub fn new() -> Self {
        Self::of(LIMIT, Duration::from_secs(1))
    }

    #[must_use]
    pub fn of(lines: u64, every: Duration) -> Self {
        let (written, left_out) = Default::default();
        Self { lines, every, start: Instant::now(), written, left_out }
    }

    /// Asks for a line. `Some` grants it and says how many were left out since the last one.
    pub fn take(&self) -> Option<u64> {
        self.take_at(self.start.elapsed())
    }

    fn take_at(&self, now: Duration) -> Option<u64> {
        let passed = now.as_nanos() / self.every.as_nanos().max(1);
        let passed = u64::try_from(passed).unwrap_or(u64::MAX) << 16;
        let granted = self.written.fetch_update(Relaxed, Relaxed, |written| {
            let next = written.max(passed) + 1;
            (next & 0xffff <= self.lines).then_some(next)
        });
        if granted.is_err() {
            self.left_out.fetch_add(1, Relaxed);
            meters::LOG_LEFT_OUT.count(LeftOut::Many as usize);
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

    #[test]
    fn a_sort_may_be_told_of_more_seldom() {
        let budget = Budget::of(1, Duration::from_secs(10));
        let granted = |at: u64| (0..1_000).filter_map(|_| budget.take_at(Duration::from_secs(at))).collect::<Vec<_>>();
        assert_eq!([granted(0), granted(9), granted(10)], [vec![0], vec![], vec![1_999]]);
    }
}
