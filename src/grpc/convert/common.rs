use std::{fmt::Display, str::FromStr, time::Duration};

use crate::domain::{
    permission::{MAX_PERMISSIONS, Permission},
    refusal::{Refusal, Violations},
    text::Note,
    time::Timestamp,
};

/// An id or another value with a text form.
pub(in crate::grpc) fn parse<T>(text: &str, field: &str, violations: &mut Violations) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    if text.is_empty() {
        violations.add(field, "is required");
        return None;
    }
    violations.check(field, text.parse())
}

/// One id, where nothing else can be wrong.
pub(in crate::grpc) fn parse_one<T>(text: &str, field: &str) -> Result<T, Refusal>
where
    T: FromStr,
    T::Err: Display,
{
    let mut violations = Violations::default();
    let value = parse(text, field, &mut violations);
    violations.settle_with(value)
}

pub(in crate::grpc) fn note(text: &str, field: &str, violations: &mut Violations) -> Note {
    violations.check(field, Note::parse(text)).unwrap_or_default()
}

/// At most 100, each named once.
pub(in crate::grpc) fn permissions(texts: &[String], field: &str, violations: &mut Violations) -> Vec<Permission> {
    if texts.len() > MAX_PERMISSIONS {
        violations.add(field, format!("has {}; at most {MAX_PERMISSIONS} are allowed", texts.len()));
        return Vec::new();
    }
    let mut permissions = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        match text.parse::<Permission>() {
            Ok(permission) if permissions.contains(&permission) => {}
            Ok(permission) => permissions.push(permission),
            Err(error) => violations.add(format!("{field}[{at}]"), error),
        }
    }
    permissions
}

/// A prefix to look for: at most as long as a name.
pub(in crate::grpc) fn name_prefix(text: &str) -> Result<String, Refusal> {
    let characters = text.chars().count();
    if characters > crate::domain::text::Name::LIMIT || text.contains('\0') {
        let what = "is longer than a name may be, or holds a NUL";
        return Err(Refusal::FieldInvalid(Violations::one("name_prefix", what)));
    }
    Ok(text.to_owned())
}

/// A moment from year 1970 to 9999; digits below a microsecond are cut off.
pub(in crate::grpc) fn timestamp(
    time: prost_types::Timestamp,
    field: &str,
    violations: &mut Violations,
) -> Option<Timestamp> {
    let micros =
        time.seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(time.nanos) / 1000));
    let in_range =
        |micros: &i64| (0..=Timestamp::MAX.micros()).contains(micros) && (0..1_000_000_000).contains(&time.nanos);
    let time = micros.filter(in_range).map(Timestamp::from_micros);
    if time.is_none() {
        violations.add(field, "is not a moment of the years 1970 to 9999 with 0 to 999999999 nanoseconds");
    }
    time
}

const MAX_TTL: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// A length of time; `None` if negative or not of its form.
pub(in crate::grpc) fn duration(duration: prost_types::Duration) -> Option<Duration> {
    // Not by `try_from`: it carries surplus nanoseconds over, and overflows on the least numbers.
    let seconds = u64::try_from(duration.seconds).ok()?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// A lifetime.
pub(in crate::grpc) fn ttl(ttl: prost_types::Duration, violations: &mut Violations) -> Option<Duration> {
    let duration = duration(ttl).filter(|ttl| (Duration::from_secs(1)..=MAX_TTL).contains(ttl));
    if duration.is_none() {
        violations.add("ttl", "must be at least a second and at most 100 years, with 0 to 999999999 nanoseconds");
    }
    duration
}

pub(in crate::grpc) fn to_timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.micros().rem_euclid(1_000_000) * 1000;
    prost_types::Timestamp { seconds: time.seconds(), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// Saturates far beyond what any of our durations is.
pub(in crate::grpc) fn to_duration(duration: Duration) -> prost_types::Duration {
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or(0);
    prost_types::Duration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos }
}

pub(in crate::grpc) fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}
