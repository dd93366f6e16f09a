//! Times and spans of time, as people say them and as they read them.

use prost_types::{Duration, Timestamp};

/// A time that somebody wrote.
pub(in crate::cli) type Moment = Timestamp;
/// A span that somebody wrote: `30d`.
pub(in crate::cli) type Span = Duration;

/// From the longest: its name, and how many seconds it has.
const UNITS: [(&str, i64); 5] =
    [("year", 365 * 86_400), ("month", 30 * 86_400), ("day", 86_400), ("hour", 3600), ("minute", 60)];

/// `in 3 days`, `2 hours ago`: cut to whole ones of the largest unit of which there are two, or one.
pub(super) fn words(time: &Timestamp, now: &Timestamp) -> String {
    let away = time.seconds.saturating_sub(now.seconds);
    let counted = largest(away.unsigned_abs());
    match (away, counted) {
        (_, None) => "now".to_owned(),
        (1.., Some(text)) => format!("in {text}"),
        (_, Some(text)) => format!("{text} ago"),
    }
}

/// None: less than a minute.
fn largest(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    // 36 hours are nearer to 36 hours than to a day: a unit is used from two of it on, but for the smallest.
    let (name, unit) =
        UNITS.into_iter().find(|(name, unit)| seconds >= if *name == "minute" { *unit } else { 2 * *unit })?;
    let count = seconds / unit;
    Some(format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
}

/// `2days`, `36h 5m`, as flags take it.
pub(super) fn span_words(span: &Duration) -> String {
    let seconds = u64::try_from(span.seconds).unwrap_or_default();
    let nanos = u32::try_from(span.nanos).unwrap_or_default();
    if seconds % 86_400 == 0 && nanos == 0 && seconds > 0 {
        return format!("{}d", seconds / 86_400);
    }
    humantime::format_duration(std::time::Duration::new(seconds, nanos)).to_string()
}

/// `30s`, `36h`, `30d`, `1y`: more than nothing.
pub(in crate::cli) fn span(text: &str) -> Result<Span, String> {
    let span = some_time(text)?;
    if span.seconds == 0 && span.nanos == 0 { Err("must be more than 0".to_owned()) } else { Ok(span) }
}

/// The same, or `0s`.
pub(in crate::cli) fn some_time(text: &str) -> Result<Span, String> {
    const TOO_LONG: &str = "is longer than any time";
    let span = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => TOO_LONG,
        // It proposes units that nobody wants here, such as 5ms.
        _ => "write it with its unit, as 30s, 12h or 30d",
    })?;
    Duration::try_from(span).map_err(|_| TOO_LONG.to_owned())
}

/// A span, where a moment has a flag of its own.
pub(in crate::cli) fn ttl(text: &str) -> Result<Span, String> {
    span(text).map_err(|why| format!("{why}; a time, such as 2027-01-31T12:00:00Z, goes with --expires"))
}

/// `2027-01-31` (its beginning in UTC), or a time in RFC 3339.
pub(in crate::cli) fn moment(text: &str) -> Result<Moment, String> {
    text.parse().map_err(|_| {
        "write it as 2027-01-31, which is its beginning in UTC, or as 2027-01-31T12:00:00Z or 2027-01-31T12:00:00+01:00"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    #[test]
    fn a_time_is_told_in_the_largest_unit_that_says_enough() {
        for (away, said) in [
            (0, "now"),
            (59, "now"),
            (-59, "now"),
            (60, "in 1 minute"),
            (-119, "1 minute ago"),
            (7199, "in 119 minutes"),
            (7200, "in 2 hours"),
            (36 * 3600, "in 36 hours"),
            (3 * 86_400, "in 3 days"),
            (-3 * 86_400 + 1, "2 days ago"),
            (59 * 86_400, "in 59 days"),
            (60 * 86_400, "in 2 months"),
            (-400 * 86_400, "13 months ago"),
            (800 * 86_400, "in 2 years"),
        ] {
            assert_eq!(words(&at(1_000_000 + away), &at(1_000_000)), said, "{away}");
        }
    }

    #[test]
    fn a_date_is_its_beginning_in_utc_and_an_offset_is_heeded() {
        let midnight = moment("2027-01-31").expect("a date");
        assert_eq!(midnight.to_string(), "2027-01-31T00:00:00Z");
        assert_eq!(moment("2027-01-31T01:00:00+01:00").expect("a time"), midnight);
        for wrong in ["", "tomorrow", "31.1.2027", "2027-02-30", "2027-01-31T25:00:00Z", "1798761600"] {
            assert!(moment(wrong).expect_err(wrong).starts_with("write it as 2027-01-31"), "{wrong}");
        }
    }

    #[test]
    fn a_span_is_more_than_nothing_unless_nothing_is_meant() {
        assert_eq!(span("30d").expect("a span").seconds, 30 * 86_400);
        assert_eq!(span("0s"), Err("must be more than 0".to_owned()));
        assert_eq!(some_time("0s").expect("nothing").seconds, 0);
        for wrong in ["", "5", "5x", "soon", "2027-01-31", "1.5", "-5d"] {
            assert_eq!(span(wrong), Err("write it with its unit, as 30s, 12h or 30d".to_owned()), "{wrong}");
            let why = ttl(wrong).expect_err(wrong);
            assert!(why.ends_with("12h or 30d; a time, such as 2027-01-31T12:00:00Z, goes with --expires"), "{why}");
        }
        assert_eq!(span("99999999999999999999y"), Err("is longer than any time".to_owned()));
        assert_eq!(
            ["48h", "90d", "90m", "1500ms"].map(|text| span_words(&span(text).expect(text))),
            ["2d", "90d", "1h 30m", "1s 500ms"]
        );
    }

    proptest! {
        #[test]
        fn a_span_as_it_is_told_is_the_same_span(seconds in 0_i64..10_000_000_000, nanos in 0_i32..1_000_000_000) {
            let span = Duration { seconds, nanos };
            prop_assert_eq!(some_time(&span_words(&span)).expect("a span"), span);
        }

        #[test]
        fn any_two_times_have_words(time: i64, now: i64) {
            let said = words(&at(time), &at(now));
            prop_assert!(said == "now" || said.starts_with("in ") == (time > now), "{}", said);
        }
    }
}
