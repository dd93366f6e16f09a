//! What is unlike before, as it is found in the calls of a key: before anybody knows
//! whether it is to be told.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    id::{ApplicationId, KeyId},
    subnet::Subnet,
    time::Timestamp,
};

/// Something about a key that may be worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub application_id: ApplicationId,
    pub key_id: KeyId,
    /// The first key of its chain: keys that are rotated stay where they are, and share limits.
    pub chain: KeyId,
    pub sign: Sign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// It was good for a call from there, whether for the first time or not.
    Network(Subnet),
    /// So many refused calls within a minute.
    Denied(u64),
    /// Its text was presented after its end.
    UsedAfterRevocation,
    /// So many calls in this hour, and in the busiest one of the week before.
    Volume {
        requests: u64,
        usual: u64,
    },
    LimitExceeded(Arc<str>),
    /// In the period that began then.
    QuotaExceeded {
        name: Arc<str>,
        start: Timestamp,
    },
}

/// How long nothing of a kind is told of a key again.
pub const COOL_DOWN: Duration = Duration::from_hours(1);
/// The same, where it goes on for long: a revoked key in somebody's hands, a text that leaked.
pub const LONG_COOL_DOWN: Duration = Duration::from_hours(24);
/// What an application is told of a kind in an hour, the last of the hour included.
pub const CEILING: i64 = 60;
/// In an hour with fewer calls nothing is sudden.
pub const VOLUME_FLOOR: u64 = 1_000;
/// A key that is younger has no usual volume.
pub const GROWN_UP: Duration = Duration::from_hours(24);
/// How far back its busiest hour is looked for.
pub const LOOK_BACK: Duration = Duration::from_hours(7 * 24);

impl Sign {
    /// By what it is known among what was told before.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Network(_) => "new_network",
            Self::Denied(_) => "denied_burst",
            Self::UsedAfterRevocation => "used_after_revocation",
            Self::Volume { .. } => "sudden_volume",
            Self::LimitExceeded(_) => "limit_exceeded",
            Self::QuotaExceeded { .. } => "quota_exceeded",
        }
    }

    /// Tells apart what is of one kind.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::LimitExceeded(name) | Self::QuotaExceeded { name, .. } => name,
            _ => "",
        }
    }

    /// It is told when it was told last at this moment or before.
    #[must_use]
    pub fn told_before(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::QuotaExceeded { start, .. } => Timestamp::from_micros(start.micros().saturating_sub(1)),
            Self::UsedAfterRevocation => now.saturating_sub(LONG_COOL_DOWN),
            _ => now.saturating_sub(COOL_DOWN),
        }
    }
}

impl Finding {
    /// Whose it is: what all keys of a chain share is told once for them.
    #[must_use]
    pub fn subject(&self) -> KeyId {
        match self.sign {
            Sign::Network(_) | Sign::LimitExceeded(_) | Sign::QuotaExceeded { .. } => self.chain,
            Sign::Denied(_) | Sign::UsedAfterRevocation | Sign::Volume { .. } => self.key_id,
        }
    }
}

/// Whether an hour is so much busier than the week before it.
#[must_use]
pub fn is_sudden(requests: u64, usual: u64, factor: u32) -> bool {
    requests >= VOLUME_FLOOR && requests > usual.saturating_mul(factor.into())
}

/// Refused calls of the last minute, by the second in which they were taken.
#[derive(Debug, Default)]
pub struct Minute {
    seconds: VecDeque<(i64, u64)>,
}

const MINUTE: i64 = 60;

impl Minute {
    /// Adds those that came in since `since`: where that is longer ago than a minute, nobody
    /// knows when they came, and they count as spread evenly.
    pub fn add(&mut self, calls: u64, since: Timestamp, now: Timestamp) {
        let elapsed = u64::try_from(now.seconds() - since.seconds()).unwrap_or_default();
        let minute = MINUTE.unsigned_abs();
        let calls = if elapsed > minute { calls.saturating_mul(minute) / elapsed } else { calls };
        match self.seconds.back_mut() {
            Some((second, known)) if *second >= now.seconds() => *known = known.saturating_add(calls),
            _ if calls == 0 => {}
            _ => self.seconds.push_back((now.seconds(), calls)),
        }
    }

    /// How many there are. What is a minute old is forgotten.
    pub fn calls(&mut self, now: Timestamp) -> u64 {
        while self.seconds.pop_front_if(|(second, _)| *second <= now.seconds() - MINUTE).is_some() {}
        self.seconds.iter().fold(0, |sum, (_, calls)| sum.saturating_add(*calls))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn a_minute_is_sixty_seconds_wherever_it_begins() {
        let mut minute = Minute::default();
        minute.add(60, at(-1), at(0));
        minute.add(40, at(58), at(59));
        assert_eq!(minute.calls(at(59)), 100);
        assert_eq!(minute.calls(at(60)), 40, "what is a minute old is over");
        assert_eq!(minute.calls(at(118)), 40);
        assert_eq!(minute.calls(at(119)), 0);
    }

    #[test]
    fn calls_that_nobody_looked_at_for_long_are_no_burst() {
        let mut minute = Minute::default();
        minute.add(1_000, at(-600), at(0));
        assert_eq!(minute.calls(at(0)), 100, "a tenth of ten minutes");
    }

    #[test]
    fn a_busy_hour_is_sudden_above_the_floor_and_above_what_is_usual() {
        for (requests, usual, sudden) in
            [(999, 0, false), (1_000, 0, true), (1_000, 100, false), (1_001, 100, true), (u64::MAX, u64::MAX, false)]
        {
            assert_eq!(is_sudden(requests, usual, 10), sudden, "{requests} after {usual}");
        }
    }

    proptest! {
        #[test]
        fn a_minute_holds_at_most_a_second_each_and_never_more_than_was_added(
            adds in proptest::collection::vec((0_i64..30, 0_u64..1_000), 1..200),
        ) {
            let (mut minute, mut now, mut all) = (Minute::default(), 0, Vec::new());
            for (passes, calls) in adds {
                minute.add(calls, at(now), at(now + passes));
                now += passes;
                all.push((now, calls));
                let naive: u64 = all.iter().filter(|(second, _)| *second > now - 60).map(|(_, calls)| calls).sum();
                prop_assert_eq!(minute.calls(at(now)), naive);
                prop_assert!(minute.seconds.len() <= 60);
            }
        }
    }
}
