//! Windows of time: which one a moment is in. Windows of seconds are aligned to the Unix
//! epoch, days and months to UTC; a leap second belongs to the day that it ends.

use std::{fmt, str::FromStr};

use time::{OffsetDateTime, Time};

use super::time::Timestamp;

/// How long windows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// Never zero.
    Seconds(u32),
    Day,
    Month,
}

/// From `start` until before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    pub start: Timestamp,
    pub end: Timestamp,
}

const DAY: i64 = 24 * 3600;

impl Span {
    /// The window that `time` is in.
    #[must_use]
    pub fn window_at(self, time: Timestamp) -> TimeWindow {
        let seconds = time.seconds();
        let (start, end) = match self {
            Self::Seconds(length) => aligned(seconds, i64::from(length.max(1))),
            Self::Day => aligned(seconds, DAY),
            Self::Month => month(seconds),
        };
        let moment = |seconds: i64| Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        TimeWindow { start: moment(start), end: moment(end) }
    }
}

fn aligned(seconds: i64, length: i64) -> (i64, i64) {
    let start = seconds - seconds.rem_euclid(length);
    (start, start + length)
}

fn month(seconds: i64) -> (i64, i64) {
    // Beyond the years that a calendar knows there is one long month, and no panic.
    let calendar = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|moment| {
        let start = moment.replace_time(Time::MIDNIGHT).replace_day(1).ok()?;
        let days = i64::from(start.month().length(start.year()));
        Some((start.unix_timestamp(), start.unix_timestamp() + days * DAY))
    });
    calendar.unwrap_or((seconds.min(0), seconds.saturating_add(31 * DAY)))
}

/// As it is stored: `60s`, `day`, `month`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(length) => write!(f, "{length}s"),
            Self::Day => f.write_str("day"),
            Self::Month => f.write_str("month"),
        }
    }
}

/// Not how a span is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a span")]
pub struct NotASpan;

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        match text {
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            _ => {
                let length = text.strip_suffix('s').and_then(|digits| digits.parse().ok()).filter(|length| *length > 0);
                length.map(Self::Seconds).ok_or(NotASpan)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_span() -> impl Strategy<Value = Span> {
        prop_oneof![(1_u32..=86_400).prop_map(Span::Seconds), Just(Span::Day), Just(Span::Month)]
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn months_are_of_the_calendar() {
        let window = |text: &str| {
            let time =
                humantime::parse_rfc3339(text).expect(text).duration_since(std::time::UNIX_EPOCH).expect("after");
            let window = Span::Month.window_at(Timestamp::from_micros(i64::try_from(time.as_micros()).expect("fits")));
            (window.start.to_string()[..10].to_owned(), window.end.to_string()[..10].to_owned())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(window("2026-11-30T23:59:59.999999Z"), pair("2026-11-01", "2026-12-01"));
        assert_eq!(window("2026-12-31T00:00:00Z"), pair("2026-12-01", "2027-01-01"));
        assert_eq!(window("2028-02-29T12:00:00Z"), pair("2028-02-01", "2028-03-01"));
        assert_eq!(window("2027-02-28T12:00:00Z"), pair("2027-02-01", "2027-03-01"));
        assert_eq!(window("1970-01-01T00:00:00Z"), pair("1970-01-01", "1970-02-01"));
    }

    proptest! {
        #[test]
        fn every_moment_is_in_its_window(span in any_span(), seconds in 0_i64..253_402_300_799) {
            let window = span.window_at(at(seconds));
            prop_assert!(window.start <= at(seconds) && at(seconds) < window.end);
        }

        #[test]
        fn windows_follow_each_other_without_gap_or_overlap(span in any_span(), seconds in 0_i64..253_000_000_000) {
            let window = span.window_at(at(seconds));
            prop_assert_eq!(span.window_at(window.end).start, window.end);
            prop_assert_eq!(span.window_at(window.start), window);
            let last = Timestamp::from_micros(window.end.micros() - 1);
            prop_assert_eq!(span.window_at(last), window);
        }

        #[test]
        fn no_moment_panics(span in any_span(), micros: i64) {
            let _ = span.window_at(Timestamp::from_micros(micros));
        }

        #[test]
        fn spans_read_back(span in any_span()) {
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn what_is_not_a_span_does_not_read() {
        for bad in ["", "s", "0s", "-1s", "1", "days", "4294967296s"] {
            assert_eq!(bad.parse::<Span>(), Err(NotASpan), "{bad}");
        }
    }
}
