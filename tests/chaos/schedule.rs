//! Which faults a run has, one after the other: all follow from its seed.

use std::time::{Duration, Instant};

use crate::{dice::Dice, wish::LEASE};

/// How long a run goes on, and how long a fault in it may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) all: Duration,
    begun: Instant,
}

impl Length {
    /// As the environment wishes; twenty seconds else.
    pub(crate) fn new() -> Self {
        let wish = std::env::var("PORTCULLIS_CHAOS_SECONDS").ok();
        let seconds = wish.map_or(20, |wish| wish.parse().expect("PORTCULLIS_CHAOS_SECONDS is a number"));
        Self { all: Duration::from_secs(seconds), begun: Instant::now() }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.all
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Half a lease, one, or ten where there is time for that; and what lies between, too.
    pub(crate) fn hold(&self, dice: &mut Dice) -> Duration {
        let left = self.all.saturating_sub(self.begun.elapsed());
        let wish = match dice.below(16) {
            0..4 => LEASE / 2,
            4..6 => LEASE,
            6 if self.all > 20 * LEASE => 10 * LEASE,
            _ => dice.millis(50, 4000),
        };
        wish.min(left.max(LEASE / 2))
    }

    /// A minute without the database, where the run is long enough.
    pub(crate) fn long(&self) -> Duration {
        (self.all / 5).min(Duration::from_mins(1))
    }
}
