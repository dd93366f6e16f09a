//! The only place that reads a clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::time::Timestamp,
    guard::{self, Guard},
};

/// The machine's two clocks: the time of day, which may be stepped, and the time since
/// boot, which never is and goes on while the machine is suspended. Leases are measured
/// by the second: `std::time::Instant` and tokio's timers stop in suspend.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    wall_micros: AtomicI64,
    boot_micros: AtomicU64,
}

impl Clock {
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is moved.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        let manual = Manual { wall_micros: AtomicI64::new(now.micros()), boot_micros: AtomicU64::new(3_600_000_000) };
        Self(Source::Manual(Arc::new(manual)))
    }

    /// The time of day.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Source::Manual(manual) => Timestamp::from_micros(manual.wall_micros.load(Ordering::SeqCst)),
        }
    }

    /// The time since boot, suspend included.
    #[must_use]
    pub fn boottime(&self) -> Duration {
        match &self.0 {
            Source::System if guard::on(Guard::Boottime) => system_boottime(),
            Source::System => Duration::from_micros(u64::try_from(self.now().micros()).unwrap_or(0)),
            Source::Manual(manual) => Duration::from_micros(manual.boot_micros.load(Ordering::SeqCst)),
        }
    }

    /// Whether it stands still until it is moved.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }

    /// Moves a manual clock on; both of its clocks. Does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
            manual.boot_micros.fetch_add(micros, Ordering::SeqCst);
            manual.wall_micros.fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Steps the time of day of a manual clock, as an operator or NTP does.
    pub fn step(&self, micros: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.wall_micros.fetch_add(micros, Ordering::SeqCst);
        }
    }
}

fn system_boottime() -> Duration {
    // On Apple's systems CLOCK_MONOTONIC is the one that goes on in suspend.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(CLOCK);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
