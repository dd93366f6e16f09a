use std::borrow::Cow;

/// What an instrument is called and what it measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// As OpenTelemetry spells it: `portcullis.verdicts`.
    pub name: &'static str,
    /// Of <https://ucum.org>: `s`, `By`, or what is counted, in braces.
    pub unit: &'static str,
    pub help: &'static str,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    Gauge,
    Histogram,
}

/// A label and all values that it can have.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    pub key: &'static str,
    pub values: &'static [&'static str],
}

/// An instrument as it is now.
#[derive(Debug, Clone)]
pub struct Reading {
    pub about: About,
    pub points: Vec<Point>,
}

/// Names and values.
pub type PointLabels = Vec<(&'static str, Cow<'static, str>)>;

#[derive(Debug, Clone)]
pub struct Point {
    pub labels: PointLabels,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Count(u64),
    Number(f64),
    /// `counts` has one more than `bounds`: of what is above the last one.
    Histogram {
        bounds: &'static [f64],
        counts: Vec<u64>,
        sum: f64,
    },
}

/// What can be read.
pub(super) trait Instrument: Sync {
    fn read(&self) -> Reading;
}

impl About {
    pub(super) const fn count(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, help, kind: Kind::Counter }
    }

    pub(super) const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, unit, help, kind: Kind::Gauge }
    }

    pub(super) const fn seconds(name: &'static str, help: &'static str) -> Self {
        Self { name, unit: "s", help, kind: Kind::Histogram }
    }

    pub(super) fn reading(self, points: Vec<Point>) -> Reading {
        Reading { about: self, points }
    }
}

impl Labels {
    /// One thing is counted.
    pub(super) const NONE: Self = Self { key: "", values: &[""] };

    pub(super) fn at(&self, place: usize) -> PointLabels {
        match self.values.get(place) {
            Some(value) if !self.key.is_empty() => vec![(self.key, Cow::Borrowed(*value))],
            _ => Vec::new(),
        }
    }

    /// Checked where an instrument is made, which is when the program is built.
    pub(super) const fn must_be(&self, length: usize) {
        assert!(self.values.len() == length, "an instrument has as many places as its label has values");
    }
}
