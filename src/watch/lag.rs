//! How far behind the slowest stream is. A stream that is told all there is says so each time it looks,
//! at least once a bookmark; one that is not read, or that reads up on a long past, does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use papaya::HashMap;

use crate::meters;

/// When each open stream had told all there was, on the clock since boot.
#[derive(Debug, Default)]
pub struct Lags {
    next: AtomicU64,
    streams: HashMap<u64, AtomicU64>,
}

/// One stream's, until dropped.
#[derive(Debug)]
pub(super) struct Lag {
    lags: Arc<Lags>,
    id: u64,
    _counted: meters::Held,
}

impl Lags {
    /// A stream that opens now.
    pub(super) fn open(self: &Arc<Self>, now: Duration) -> Lag {
        let id = self.next.fetch_add(1, Relaxed);
        self.streams.pin().insert(id, AtomicU64::new(millis(now)));
        Lag { lags: Arc::clone(self), id, _counted: meters::WATCHES.hold() }
    }

    /// How long ago the slowest of them had told all there was. Zero: none is open.
    #[must_use]
    pub fn longest(&self, now: Duration) -> Duration {
        let streams = self.streams.pin();
        let first = streams.values().map(|at| at.load(Relaxed)).min().unwrap_or(u64::MAX);
        Duration::from_millis(millis(now).saturating_sub(first))
    }
}

impl Lag {
    pub(super) fn caught_up(&self, now: Duration) {
        if let Some(at) = self.lags.streams.pin().get(&self.id) {
            at.store(millis(now), Relaxed);
        }
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.lags.streams.pin().remove(&self.id);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_stream_counts_until_it_is_closed() {
        let (lags, at) = (Arc::new(Lags::default()), Duration::from_secs);
        assert_eq!(lags.longest(at(5)), Duration::ZERO);
        let (slow, quick) = (lags.open(at(1)), lags.open(at(1)));
        quick.caught_up(at(9));
        assert_eq!(lags.longest(at(10)), at(9));
        slow.caught_up(at(8));
        assert_eq!(lags.longest(at(10)), at(2));
        drop(slow);
        assert_eq!(lags.longest(at(10)), at(1));
    }
}
