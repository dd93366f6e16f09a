use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::domain::time::Timestamp;

/// The database's time, learnt at each sync and carried on by the clock since boot. One
/// clock for expiry and nonces on every replica; steps of this machine's time of day do
/// not touch it.
#[derive(Debug)]
pub(super) struct DatabaseTime {
    /// Database time less time since boot, in microseconds.
    offset: AtomicI64,
    /// It never says less than it has said before a correction.
    floor: AtomicI64,
}

impl DatabaseTime {
    pub(super) fn new(time: Timestamp, boottime: Duration) -> Self {
        Self { offset: AtomicI64::new(time.micros() - micros(boottime)), floor: AtomicI64::new(time.micros()) }
    }

    /// Learns that the database's time was `time` at `at` or later: an upper bound.
    pub(super) fn learn(&self, time: Timestamp, at: Duration, now: Duration) {
        self.floor.fetch_max(self.at(now).micros(), Ordering::AcqRel);
        self.offset.store(time.micros() - micros(at), Ordering::Release);
    }

    pub(super) fn at(&self, boottime: Duration) -> Timestamp {
        let carried = micros(boottime) + self.offset.load(Ordering::Acquire);
        Timestamp::from_micros(carried.max(self.floor.load(Ordering::Acquire)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_behind_the_database_and_never_goes_back() {
        let time = |micros| Timestamp::from_micros(micros);
        let boot = Duration::from_micros;
        let clock = DatabaseTime::new(time(1_000), boot(0));
        assert_eq!(clock.at(boot(500)), time(1_500));
        clock.learn(time(2_000), boot(600), boot(700));
        assert_eq!(clock.at(boot(700)), time(2_100));
        clock.learn(time(1_000), boot(800), boot(900));
        assert_eq!(clock.at(boot(900)), time(2_300), "the database's clock was set back");
        assert_eq!(clock.at(boot(2_200)), time(2_400), "and was caught up with");
    }
}
