//! Which calls are traced.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
};

use super::SampleRatio;

/// Picks a share of all calls, each call alone and without asking the caller.
#[derive(Debug, Clone, Copy)]
pub struct Sampler {
    /// Of 2^64 possible draws, how many are picked.
    picked: u64,
}

impl Sampler {
    /// Picks no call, without drawing.
    pub const NEVER: Self = Self { picked: 0 };

    /// Picks `ratio` of all calls.
    pub fn new(ratio: SampleRatio) -> Self {
        // The conversion saturates, so 1.0 becomes u64::MAX, which `pick` takes as all.
        Self { picked: (ratio.get() * 2f64.powi(64)) as u64 }
    }

    /// Draws. Costs a compare when nothing is to be picked, and about 2 ns otherwise.
    #[inline]
    pub(super) fn pick(self) -> bool {
        match self.picked {
            0 => false,
            u64::MAX => true,
            picked => draw() < picked,
        }
    }
}

/// SplitMix64, one state a thread. Not a source of secrets: nothing but the choice of traced
/// calls hangs on it. A counter would be cheaper still, but calls that come in a rhythm would
/// be picked all or never.
fn draw() -> u64 {
    thread_local!(static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(())));
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked_of_100_000(ratio: &str) -> usize {
        let sampler = Sampler::new(ratio.parse().expect("ratio"));
        (0..100_000).filter(|_| sampler.pick()).count()
    }

    #[test]
    fn none_all_and_the_share_between() {
        assert_eq!(picked_of_100_000("0"), 0);
        assert_eq!(picked_of_100_000("1"), 100_000);
        // 1,000 expected, standard deviation 31: a sound sampler leaves this once in 10^20 runs.
        assert!((700..1_300).contains(&picked_of_100_000("0.01")));
        assert!((0..100_000).all(|_| !Sampler::NEVER.pick()));
    }
}
