//! Numbers of a run: all follow from its seed.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

/// The seed of this run: of the environment, or a new one.
pub(crate) fn seed() -> u64 {
    let wish = std::env::var("PORTCULLIS_CHAOS_SEED").ok();
    wish.map_or_else(
        || u64::from(rand::random::<u32>()),
        |seed| seed.parse().expect("PORTCULLIS_CHAOS_SEED is a number"),
    )
}

/// Draws each of some things before it draws any of them again.
#[derive(Debug)]
pub(crate) struct Deck<T: 'static> {
    all: &'static [T],
    left: Vec<T>,
}

impl<T: Copy> Deck<T> {
    pub(crate) fn of(all: &'static [T]) -> Self {
        Self { all, left: Vec::new() }
    }

    pub(crate) fn draw(&mut self, dice: &mut Dice) -> T {
        if self.left.is_empty() {
            self.left.extend_from_slice(self.all);
        }
        self.left.swap_remove(dice.below(self.left.len()))
    }
}

impl Dice {
    /// Those of one part of the run, which do not hang on what the others drew.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let mut dice = Self(seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(2);
        dice
    }

    /// A number from 0 up to and not including `below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("below it")
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(crate) fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from)) as u64)
    }
}
