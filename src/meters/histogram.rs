use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{
    lines::{LINES, Line, Lines},
    reading::{About, Instrument, Labels, Point, Reading, Value},
};

/// In seconds. The conventions for RPCs name bounds from 5 ms on, which would tell nothing of calls
/// that take a tenth of one.
const BOUNDS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0];

const NANOS: [u64; 14] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Where the sum stands, in nanoseconds, behind the buckets.
const SUM: usize = BOUNDS.len() + 1;

/// The upper bounds of every histogram, in seconds.
#[must_use]
pub fn bounds() -> &'static [f64] {
    &BOUNDS
}

/// The durations of one kind. A line of it is 16 numbers, which fill two cache lines.
#[derive(Debug)]
pub(super) struct Cell(Lines<[AtomicU64; SUM + 1]>);

impl Cell {
    pub(super) const fn new() -> Self {
        Self(Lines::new([const { Line::new([const { AtomicU64::new(0) }; SUM + 1]) }; LINES]))
    }

    #[inline]
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let line = self.0.own();
        let bucket = NANOS.iter().take_while(|bound| nanos > **bound).count();
        line[bucket].fetch_add(1, Relaxed);
        line[SUM].fetch_add(nanos, Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "a sum of seconds needs no nanosecond")]
    pub(super) fn value(&self) -> Value {
        let sum = |place: usize| self.0.iter().map(|line| line[place].load(Relaxed)).fold(0, u64::wrapping_add);
        Value::Histogram { bounds: &BOUNDS, counts: (0..SUM).map(sum).collect(), sum: sum(SUM) as f64 / 1e9 }
    }
}

/// How long things took, by a label of `N` values.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    about: About,
    labels: Labels,
    cells: [Cell; N],
}

impl<const N: usize> Histogram<N> {
    pub(super) const fn new(about: About, labels: Labels) -> Self {
        labels.must_be(N);
        Self { about, labels, cells: [const { Cell::new() }; N] }
    }

    pub fn record(&self, place: usize, took: Duration) {
        if let Some(cell) = self.cells.get(place) {
            cell.record(took);
        }
    }
}

impl<const N: usize> Instrument for Histogram<N> {
    fn read(&self) -> Reading {
        let point = |(place, cell): (usize, &Cell)| Point { labels: self.labels.at(place), value: cell.value() };
        self.about.reading(self.cells.iter().enumerate().map(point).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        for (bound, nanos) in BOUNDS.into_iter().zip(NANOS) {
            assert_eq!(Duration::from_secs_f64(bound), Duration::from_nanos(nanos));
        }
        let cell = Cell::new();
        for nanos in [0, 100_000, 100_001, 10_000_000_000, 10_000_000_001] {
            cell.record(Duration::from_nanos(nanos));
        }
        let Value::Histogram { counts, sum, .. } = cell.value() else { panic!("a histogram") };
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert!((sum - 20.000_200_002).abs() < 1e-9, "{sum}");
    }
}
