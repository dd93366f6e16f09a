use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    lines::{LINES, Line, Lines},
    reading::{About, Instrument, Labels, Point, Reading, Value},
};

/// Counts, by a label of `N` values, each known by its place among them.
#[derive(Debug)]
pub struct Counter<const N: usize> {
    about: About,
    labels: Labels,
    lines: Lines<[AtomicU64; N]>,
}

impl<const N: usize> Counter<N> {
    pub(super) const fn new(about: About, labels: Labels) -> Self {
        labels.must_be(N);
        Self { about, labels, lines: Lines::new([const { Line::new([const { AtomicU64::new(0) }; N]) }; LINES]) }
    }

    /// Counts one at this place.
    #[inline]
    pub fn count(&self, place: usize) {
        self.add(place, 1);
    }

    #[inline]
    pub fn add(&self, place: usize, count: u64) {
        if let Some(counted) = self.lines.own().get(place) {
            counted.fetch_add(count, Relaxed);
        }
    }

    fn sum(&self, place: usize) -> u64 {
        self.lines.iter().filter_map(|line| line.get(place)).map(|count| count.load(Relaxed)).sum()
    }
}

impl<const N: usize> Instrument for Counter<N> {
    /// Every value from the start: whoever asks how much more there was misses no first one.
    fn read(&self) -> Reading {
        let point = |place| Point { labels: self.labels.at(place), value: Value::Count(self.sum(place)) };
        self.about.reading((0..N).map(point).collect())
    }
}
