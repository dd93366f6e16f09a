use std::{
    borrow::Cow,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use papaya::HashMap;

use super::reading::{About, Instrument, Point, Reading, Value};

/// Counts by two labels whose values are texts of the program's: as many series as it has of them. Off
/// the way of a call that is answered.
#[derive(Debug)]
pub struct Pairs {
    about: About,
    keys: [&'static str; 2],
    counts: LazyLock<HashMap<[&'static str; 2], AtomicU64>>,
}

impl Pairs {
    pub(super) const fn new(about: About, keys: [&'static str; 2]) -> Self {
        Self { about, keys, counts: LazyLock::new(HashMap::new) }
    }

    pub fn count(&self, values: [&'static str; 2]) {
        let counts = self.counts.pin();
        // Not `get_or_insert_with`: papaya 0.2 lets the table fill up under it, and every later look-up pays.
        counts.get(&values).unwrap_or_else(|| counts.get_or_insert(values, AtomicU64::new(0))).fetch_add(1, Relaxed);
    }
}

impl Instrument for Pairs {
    fn read(&self) -> Reading {
        let point = |(values, count): (&[&'static str; 2], &AtomicU64)| {
            let labels = self.keys.into_iter().zip(values.iter().map(|value| Cow::Borrowed(*value))).collect();
            Point { labels, value: Value::Count(count.load(Relaxed)) }
        };
        self.about.reading(self.counts.pin().iter().map(point).collect())
    }
}
