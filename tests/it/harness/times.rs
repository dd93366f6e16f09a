//! Times as protobuf has them.

pub(crate) fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// Whole ones.
pub(crate) fn seconds_of(duration: Option<prost_types::Duration>) -> Option<i64> {
    duration.map(|duration| duration.seconds)
}

/// Seconds after the Unix epoch, of a time that must be there.
pub(crate) fn unix_seconds(time: Option<prost_types::Timestamp>) -> i64 {
    time.expect("a time").seconds
}
