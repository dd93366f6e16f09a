use std::{collections::BTreeMap, time::Duration};

use super::UsageUnit;
use crate::domain::{refusal::Violations, time::Timestamp, verdict::Verdict};

/// The hours or days from `start` on that begin before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRange {
    pub unit: UsageUnit,
    pub start: Timestamp,
    pub end: Timestamp,
}

/// The most points that a series may have.
const MAX_POINTS: i64 = 1000;

impl UsageRange {
    /// From the hour or day that `start` is in. Without a start 24 hours or 30 days, without
    /// an end until `now`.
    pub fn new(
        unit: UsageUnit,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, Violations> {
        let (length, usual) = match unit {
            UsageUnit::Hour => (3_600_000_000, 24),
            UsageUnit::Day | UsageUnit::Month => (86_400_000_000, 30),
        };
        let until = end.unwrap_or(now);
        let usual = until.saturating_sub(Duration::from_micros(usual * length)).max(Timestamp::from_micros(0));
        let from = start.unwrap_or(usual);
        if from >= until {
            let (field, other) =
                if start.is_some() { ("start_time", "before end_time") } else { ("end_time", "later") };
            let other = if end.is_some() { other.to_owned() } else { format!("before now, {now}") };
            return Err(Violations::one(field, format!("must be {other}")));
        }
        let from = unit.start(from);
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let points = (until.micros() - from.micros() + length - 1) / length;
        if points > MAX_POINTS {
            let what = format!("is {points} steps before the end; at most {MAX_POINTS} are told at once");
            return Err(Violations::one("start_time", what));
        }
        Ok(Self { unit, start: from, end: until })
    }
}

/// Calls by what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decided(BTreeMap<Verdict, u64>);

impl Decided {
    pub fn add(&mut self, verdict: Verdict, count: u64) {
        let known = self.0.entry(verdict).or_default();
        *known = known.saturating_add(count);
    }

    #[must_use]
    pub fn requests(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The refused ones, in the order of verdicts.
    pub fn denied_by(&self) -> impl Iterator<Item = (Verdict, u64)> {
        self.0.iter().map(|(verdict, count)| (*verdict, *count)).filter(|(verdict, _)| *verdict != Verdict::Valid)
    }

    #[must_use]
    pub fn denied(&self) -> u64 {
        self.denied_by().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Denied by requests; 0 without requests.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        match self.requests() {
            0 => 0.0,
            requests => self.denied() as f64 / requests as f64,
        }
    }
}

/// What was decided, step by step; steps without a call are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series(BTreeMap<Timestamp, Decided>);

impl Series {
    pub fn add(&mut self, start: Timestamp, verdict: Verdict, count: u64) {
        self.0.entry(start).or_default().add(verdict, count);
    }

    /// Each step's beginning and calls, in order.
    pub fn points(&self) -> impl Iterator<Item = (Timestamp, &Decided)> {
        self.0.iter().map(|(start, decided)| (*start, decided))
    }

    #[must_use]
    pub fn total(&self) -> Decided {
        let mut total = Decided::default();
        for (verdict, count) in self.0.values().flat_map(|decided| &decided.0) {
            total.add(*verdict, *count);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-21T10:30:00Z
    const NOW: Timestamp = Timestamp::from_seconds(1_795_257_000);

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(seconds))
    }

    #[test]
    fn a_range_begins_with_a_whole_step_and_is_a_day_or_a_month_unless_asked() {
        let hours = UsageRange::new(UsageUnit::Hour, None, None, NOW).expect("hours");
        assert_eq!((hours.start.to_string().as_str(), hours.end), ("2026-11-20T10:00:00.000000Z", NOW));
        let days = UsageRange::new(UsageUnit::Day, None, None, NOW).expect("days");
        assert_eq!(days.start.to_string(), "2026-10-22T00:00:00.000000Z");
        assert!(UsageRange::new(UsageUnit::Day, None, at(1), NOW).is_ok(), "the first day of all");
    }

    #[test]
    fn a_range_that_is_empty_backwards_or_too_long_is_refused_at_its_field() {
        let field = |start, end| {
            let refused = UsageRange::new(UsageUnit::Hour, start, end, NOW).expect_err("refused");
            refused.iter().map(|violation| violation.field.clone()).collect::<Vec<_>>()
        };
        assert_eq!(field(at(3600), at(3600)), ["start_time"]);
        assert_eq!(field(at(7200), at(3600)), ["start_time"]);
        assert_eq!(field(Some(NOW), None), ["start_time"]);
        assert_eq!(field(None, at(0)), ["end_time"]);
        assert_eq!(field(at(0), at(3600 * 1000 + 1)), ["start_time"]);
        assert_eq!(field(at(0), Some(Timestamp::MAX)), ["start_time"]);
        assert!(UsageRange::new(UsageUnit::Hour, at(0), at(3600 * 1000), NOW).is_ok());
        assert!(UsageRange::new(UsageUnit::Hour, at(1), at(3600 * 1000), NOW).is_ok(), "1,000 points all the same");
    }

    proptest! {
        #[test]
        fn no_range_panics_and_none_has_more_points_than_it_may(a: i64, b: i64, hours: bool) {
            let moment = |micros: i64| Some(Timestamp::from_micros(micros.rem_euclid(Timestamp::MAX.micros())));
            let (unit, length) = if hours { (UsageUnit::Hour, 3600) } else { (UsageUnit::Day, 86_400) };
            if let Ok(range) = UsageRange::new(unit, moment(a), moment(b), NOW) {
                prop_assert!(range.start < range.end);
                prop_assert!(range.end.seconds() - range.start.seconds() <= length * 1000);
                prop_assert_eq!(unit.start(range.start), range.start);
            }
        }
    }

    #[test]
    fn sums_at_the_end_of_their_type_stay_there() {
        let mut series = Series::default();
        series.add(NOW, Verdict::Valid, u64::MAX);
        series.add(NOW, Verdict::Expired, u64::MAX);
        series.add(Timestamp::MAX, Verdict::Revoked, 1);
        let total = series.total();
        assert_eq!((total.requests(), total.denied()), (u64::MAX, u64::MAX));
        assert!(Decided::default().error_rate() == 0.0 && total.error_rate() == 1.0);
    }
}
