use std::{
    borrow::Cow,
    sync::{
        LazyLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use papaya::HashMap;
use tokio::time::Instant;

use super::reading::{About, Instrument, Labels, Point, Reading, Value};

/// A number that is as it is. Says nothing before it is set.
#[derive(Debug)]
pub struct Gauge {
    about: About,
    /// The bits of an `f64`.
    bits: AtomicU64,
}

const UNSET: u64 = f64::NAN.to_bits();

impl Gauge {
    pub(super) const fn new(about: About) -> Self {
        Self { about, bits: AtomicU64::new(UNSET) }
    }

    pub fn set(&self, number: f64) {
        self.bits.store(number.to_bits(), Relaxed);
    }

    /// As [`Gauge::set`], of what is counted: exact up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "no gauge comes near 2^53")]
    pub fn set_count(&self, count: usize) {
        self.set(count as f64);
    }

    /// As [`Gauge::set`], of a number in the log: exact up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "a log of a million mutations a second reaches 2^53 in 285 years")]
    pub fn set_revision(&self, number: i64) {
        self.set(number as f64);
    }

    pub(super) fn forget(&self) {
        self.bits.store(UNSET, Relaxed);
    }
}

impl Instrument for Gauge {
    fn read(&self) -> Reading {
        let number = f64::from_bits(self.bits.load(Relaxed));
        let point = (!number.is_nan()).then(|| Point { labels: Vec::new(), value: Value::Number(number) });
        self.about.reading(point.into_iter().collect())
    }
}

/// Numbers that are as they are, by a label of `N` values. One says nothing before it is set.
#[derive(Debug)]
pub struct Gauges<const N: usize> {
    about: About,
    labels: Labels,
    /// The bits of an `f64` each.
    bits: [AtomicU64; N],
}

impl<const N: usize> Gauges<N> {
    pub(super) const fn new(about: About, labels: Labels) -> Self {
        labels.must_be(N);
        Self { about, labels, bits: [const { AtomicU64::new(UNSET) }; N] }
    }

    pub fn set(&self, place: usize, number: f64) {
        if let Some(bits) = self.bits.get(place) {
            bits.store(number.to_bits(), Relaxed);
        }
    }

    /// Of this place, a time of day: in Unix seconds.
    #[expect(clippy::cast_precision_loss, reason = "2^53 seconds are 285 million years")]
    pub fn set_time(&self, place: usize, seconds: i64) {
        self.set(place, seconds as f64);
    }
}

impl<const N: usize> Instrument for Gauges<N> {
    fn read(&self) -> Reading {
        let point = |(place, bits): (usize, &AtomicU64)| {
            let number = f64::from_bits(bits.load(Relaxed));
            (!number.is_nan()).then(|| Point { labels: self.labels.at(place), value: Value::Number(number) })
        };
        self.about.reading(self.bits.iter().enumerate().filter_map(point).collect())
    }
}

/// How many there are of what comes and goes.
#[derive(Debug)]
pub struct UpDown {
    about: About,
    count: AtomicI64,
}

/// One of them, until dropped.
#[derive(Debug)]
#[must_use]
pub struct Held(&'static UpDown);

impl UpDown {
    pub(super) const fn new(about: About) -> Self {
        Self { about, count: AtomicI64::new(0) }
    }

    pub fn hold(&'static self) -> Held {
        self.count.fetch_add(1, Relaxed);
        Held(self)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Relaxed);
    }
}

impl Instrument for UpDown {
    #[expect(clippy::cast_precision_loss, reason = "there are never so many")]
    fn read(&self) -> Reading {
        let value = Value::Number(self.count.load(Relaxed) as f64);
        self.about.reading(vec![Point { labels: Vec::new(), value }])
    }
}

/// Which of some states holds; none or one.
#[derive(Debug)]
pub struct States<const N: usize> {
    about: About,
    labels: Labels,
    /// The place of the one that holds, counted from 1.
    holds: AtomicU64,
}

impl<const N: usize> States<N> {
    pub(super) const fn new(about: About, labels: Labels) -> Self {
        labels.must_be(N);
        Self { about, labels, holds: AtomicU64::new(0) }
    }

    pub fn set(&self, place: Option<usize>) {
        self.holds.store(place.map_or(0, |place| place as u64 + 1), Relaxed);
    }
}

impl<const N: usize> Instrument for States<N> {
    fn read(&self) -> Reading {
        let holds = self.holds.load(Relaxed);
        let point = |place| {
            let value = Value::Number(if holds == place as u64 + 1 { 1.0 } else { 0.0 });
            Point { labels: self.labels.at(place), value }
        };
        self.about.reading((0..N).map(point).collect())
    }
}

/// How long ago something was done last, by who did it: read as the time that has passed.
#[derive(Debug)]
pub struct Since {
    about: About,
    key: &'static str,
    done: LazyLock<HashMap<&'static str, AtomicU64>>,
}

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Since {
    pub(super) const fn new(about: About, key: &'static str) -> Self {
        Self { about, key, done: LazyLock::new(HashMap::new) }
    }

    /// It was done now.
    pub fn done(&self, by: &'static str) {
        let now = u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(u64::MAX);
        let done = self.done.pin();
        done.get(&by).unwrap_or_else(|| done.get_or_insert(by, AtomicU64::new(now))).store(now, Relaxed);
    }

    /// Whoever did it does so no more.
    pub fn forget(&self, by: &'static str) {
        self.done.pin().remove(by);
    }
}

impl Instrument for Since {
    fn read(&self) -> Reading {
        let now = BEGUN.elapsed();
        let point = |(by, at): (&&'static str, &AtomicU64)| {
            let since = now.saturating_sub(Duration::from_millis(at.load(Relaxed)));
            Point { labels: vec![(self.key, Cow::Borrowed(*by))], value: Value::Number(since.as_secs_f64()) }
        };
        self.about.reading(self.done.pin().iter().map(point).collect())
    }
}
