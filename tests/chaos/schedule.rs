//! Which faults a run has, one after the other: all follow from its seed. They come in storms, and after
//! each the deployment recovers: what never does shows nothing but refusals.

use std::time::{Duration, Instant};

use crate::{dice::Dice, wish::LEASE};

/// How long a run goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) all: Duration,
    begun: Instant,
}

/// In which new faults begin, until its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    length: Length,
    until: Duration,
    pub(crate) kinds: Kinds,
}

/// Which faults are in a storm. Clocks are stepped in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    Everything,
    Replicas,
    Database,
}

/// What is shorter is no storm.
const LEAST: Duration = Duration::from_secs(5);

impl Length {
    /// As the environment wishes; twenty seconds else.
    pub(crate) fn new() -> Self {
        let wish = std::env::var("PORTCULLIS_CHAOS_SECONDS").ok();
        let seconds = wish.map_or(20, |wish| wish.parse().expect("PORTCULLIS_CHAOS_SECONDS is a number"));
        Self { all: Duration::from_secs(seconds), begun: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn left(&self) -> Duration {
        self.all.saturating_sub(self.elapsed())
    }

    /// The next one, while there is time for it: of everything, and between two of those of one kind.
    pub(crate) fn storm(&self, number: usize, dice: &mut Dice) -> Option<Storm> {
        if number > 0 && self.left() < LEAST {
            return None;
        }
        let kinds = [Kinds::Everything, Kinds::Replicas, Kinds::Everything, Kinds::Database][number % 4];
        // Also in a short run something is left of it afterwards.
        let lasts = dice.millis(10_000, 18_000).min(self.all * 3 / 5);
        Some(Storm { length: *self, until: self.elapsed() + lasts.min(self.left()), kinds })
    }

    /// How long all is well between two storms.
    pub(crate) fn lull(&self, dice: &mut Dice) -> Duration {
        dice.millis(7000, 11_000).min(self.all / 4)
    }
}

impl Storm {
    pub(crate) fn is_over(&self) -> bool {
        self.elapsed() >= self.until
    }

    pub(crate) fn has(&self, kinds: Kinds) -> bool {
        self.kinds == Kinds::Everything || self.kinds == kinds
    }

    /// Of the run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.length.elapsed()
    }

    /// For how long a fault goes on: half a lease, one, or ten where there is time for that; and what lies
    /// between, too.
    pub(crate) fn hold(&self, dice: &mut Dice) -> Duration {
        let wish = match dice.below(16) {
            0..4 => LEASE / 2,
            4..6 => LEASE,
            6 if self.length.all > 20 * LEASE => 10 * LEASE,
            _ => dice.millis(50, 4000),
        };
        wish.min(self.length.left().max(LEASE / 2))
    }
}
