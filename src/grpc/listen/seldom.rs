use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// A line of a sort every ten seconds at most: strangers decide how often there is something to say.
#[derive(Debug)]
pub(super) struct Seldom {
    start: Instant,
    /// Milliseconds since `start`.
    next: AtomicU64,
    /// In all.
    count: AtomicU64,
}

const EVERY: Duration = Duration::from_secs(10);

impl Seldom {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), next: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    /// Counts one. `Some` asks for a line, and says how many there were until now.
    pub(super) fn count(&self) -> Option<u64> {
        self.count_at(self.start.elapsed())
    }

    fn count_at(&self, now: Duration) -> Option<u64> {
        let count = self.count.fetch_add(1, Relaxed) + 1;
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
        let due = self.next.fetch_update(Relaxed, Relaxed, |next| (next <= now).then(|| now.saturating_add(every)));
        due.is_ok().then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_in_ten_seconds_and_none_is_left_out_of_the_count() {
        let seldom = Seldom::new();
        let lines = |at| (0..1_000).filter_map(|_| seldom.count_at(Duration::from_secs(at))).collect::<Vec<_>>();
        assert_eq!(lines(0), vec![1]);
        assert_eq!(lines(9), Vec::<u64>::new());
        assert_eq!(lines(10), vec![2001]);
    }
}
