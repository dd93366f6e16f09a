//! How much keys are used: decided calls by verdict and by hour, day and month, in UTC.

mod chain;
mod series;

use std::{collections::BTreeMap, time::Duration};

pub use chain::{ChainUsage, KeyShare, Move};
pub use series::{Decided, Series, UsageRange};

use super::{
    id::{ApplicationId, KeyId, Revision, Versioned},
    key::Key,
    span::Span,
    time::Timestamp,
    verdict::Verdict,
};

/// Whose calls: a key's, or without one its application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose {
    pub application_id: ApplicationId,
    pub key_id: Option<KeyId>,
}

/// Calls that are counted together. Those of no key count for the application alone: they
/// came with texts that are no key of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    pub whose: Whose,
    /// Since the Unix epoch.
    hour: u32,
}

/// By verdict, in the order of [`Verdict::ALL`].
pub type Counts = [u64; Verdict::ALL.len()];

/// What was counted since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tallied {
    pub of: Counted,
    pub counts: Counts,
    pub last_valid: Option<Timestamp>,
}

/// By what calls are summed up. Hours make days, and days make months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageUnit {
    Hour,
    Day,
    Month,
}

/// One number that is kept. A row of no key is of all calls of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageRow {
    pub whose: Whose,
    pub unit: UsageUnit,
    pub start: Timestamp,
    pub verdict: Verdict,
}

/// How a key was used lately: what is counted is that of its whole chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage {
    pub requests_today: u64,
    pub requests_this_month: u64,
    /// Of those of today, the refused ones.
    pub denied_today: u64,
    /// The last VALID verdict of this very key.
    pub last_used_time: Option<Timestamp>,
}

/// A key, and how it was used lately.
#[derive(Debug, Clone)]
pub struct UsedKey {
    pub key: Key,
    pub usage: KeyUsage,
}

const HOUR: i64 = 3600;
/// After so long without a VALID verdict a key counts as unused.
pub const UNUSED_AFTER: Duration = Duration::from_hours(90 * 24);

impl Counted {
    #[must_use]
    pub fn at(whose: Whose, now: Timestamp) -> Self {
        Self { whose, hour: u32::try_from(now.seconds().div_euclid(HOUR)).unwrap_or_default() }
    }

    fn start(self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.hour) * HOUR)
    }
}

impl UsageUnit {
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// The beginning of the one that `time` is in.
    #[must_use]
    pub fn start(self, time: Timestamp) -> Timestamp {
        let span = match self {
            Self::Hour => Span::Seconds(3600),
            Self::Day => Span::Day,
            Self::Month => Span::Month,
        };
        span.window_at(time).start
    }
}

/// What is to be added to which rows, in their order.
#[must_use]
pub fn rows(tallied: &[Tallied]) -> BTreeMap<UsageRow, u64> {
    let mut rows = BTreeMap::new();
    for Tallied { of, counts, .. } in tallied {
        let decided = Verdict::ALL.into_iter().zip(*counts).filter(|(_, count)| *count > 0);
        for (verdict, count) in decided {
            for (whose, unit) in whoms(of.whose).flat_map(|whose| UsageUnit::ALL.map(|unit| (whose, unit))) {
                let row: &mut u64 =
                    rows.entry(UsageRow { whose, unit, start: unit.start(of.start()), verdict }).or_default();
                *row = row.saturating_add(count);
            }
        }
    }
    rows
}

/// Who was used last when.
#[must_use]
pub fn last_uses(tallied: &[Tallied]) -> BTreeMap<Whose, Timestamp> {
    let mut last_uses = BTreeMap::new();
    for Tallied { of, last_valid, .. } in tallied {
        for (whose, time) in whoms(of.whose).zip(std::iter::repeat(*last_valid)) {
            let Some(time) = time else { continue };
            last_uses.entry(whose).and_modify(|known: &mut Timestamp| *known = time.max(*known)).or_insert(time);
        }
    }
    last_uses
}

/// The application, and the key if there is one.
fn whoms(whose: Whose) -> impl Iterator<Item = Whose> {
    let key = whose.key_id.map(|_| whose);
    std::iter::once(Whose { key_id: None, ..whose }).chain(key)
}

/// A key that was neither made nor used after this moment is unused.
#[must_use]
pub fn unused_since(now: Timestamp) -> Timestamp {
    now.saturating_sub(UNUSED_AFTER)
}

impl UsedKey {
    /// Whether to think about revoking it. A revoked key is not: nothing is left to do.
    #[must_use]
    pub fn is_unused(&self, now: Timestamp) -> bool {
        let last = self.usage.last_used_time.max(Some(self.key.create_time));
        !self.key.is_revoked(now) && last <= Some(unused_since(now))
    }
}

impl Versioned for UsedKey {
    fn changed_by(&mut self, revision: Revision) {
        self.key.revision = revision;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn whose(key: Option<u128>) -> Whose {
        let key_id = key.map(|key| KeyId::new(Uuid::from_u128(key)));
        Whose { application_id: ApplicationId::new(Uuid::from_u128(7)), key_id }
    }

    fn tallied(key: Option<u128>, seconds: i64, valid: u64, denied: u64) -> Tallied {
        let mut counts = Counts::default();
        counts[Verdict::Valid as usize] = valid;
        counts[Verdict::Expired as usize] = denied;
        let now = Timestamp::from_seconds(seconds);
        Tallied { of: Counted::at(whose(key), now), counts, last_valid: (valid > 0).then_some(now) }
    }

    #[test]
    fn verdicts_are_counted_at_their_place_in_the_list() {
        for (at, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, at);
        }
    }

    #[test]
    fn a_call_counts_once_in_its_hour_day_and_month_for_its_key_and_its_application() {
        // 2026-10-31T23:59:59Z and a second later.
        let (before, after) = (1_793_491_199, 1_793_491_200);
        let all = [tallied(Some(1), before, 2, 0), tallied(Some(1), after, 4, 0), tallied(Some(2), after, 8, 16)];
        let all = [&all[..], &[tallied(None, after, 0, 32)]].concat();
        let rows = rows(&all);
        let sum = |key: Option<u128>, unit: UsageUnit, time: i64| {
            let start = unit.start(Timestamp::from_seconds(time));
            let ours = rows.iter().filter(|(row, _)| row.whose == whose(key) && row.unit == unit && row.start == start);
            ours.map(|(_, count)| count).sum::<u64>()
        };
        for unit in UsageUnit::ALL {
            assert_eq!([sum(Some(1), unit, before), sum(Some(1), unit, after)], [2, 4], "{unit:?}");
            assert_eq!(sum(Some(2), unit, after), 24);
            assert_eq!([sum(None, unit, before), sum(None, unit, after)], [2, 4 + 24 + 32]);
        }
        let last = last_uses(&all);
        assert_eq!(last[&whose(Some(1))], Timestamp::from_seconds(after));
        assert_eq!(last[&whose(None)], Timestamp::from_seconds(after));
        assert_eq!(last.len(), 3);
    }

    #[test]
    fn counts_at_the_end_of_their_type_stay_there() {
        let rows = rows(&[tallied(Some(1), 0, u64::MAX, 0), tallied(Some(1), 0, 1, 0)]);
        assert!(rows.values().all(|count| *count == u64::MAX), "{rows:?}");
    }
}
