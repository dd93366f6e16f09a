//! What the service does for a key by itself.

use std::time::Duration;

use super::time::Timestamp;
use crate::signing::Kid;

/// Renewal and rotation without anybody asking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upkeep {
    /// It is renewed before it expires.
    pub auto_renew: bool,
    /// How long it was made for, which is what a renewal adds. None: it never expires.
    pub lifetime: Option<Duration>,
    pub rotation: Option<RotationPolicy>,
}

/// When a key is to be rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationPolicy {
    pub period: Duration,
    pub next_time: Timestamp,
    /// Whom the new secret is sealed to. None: people rotate it, and are told when.
    pub recipient: Option<Kid>,
}

/// What lives shorter is not renewed: each renewal is a revision, and told to everybody.
pub const LEAST_RENEWED: Duration = Duration::from_hours(1);
/// The shortest and the longest rotation period.
pub const ROTATION_PERIODS: std::ops::RangeInclusive<Duration> =
    Duration::from_hours(24)..=Duration::from_hours(10 * 366 * 24);

impl RotationPolicy {
    /// Counted from now.
    #[must_use]
    pub fn begin(period: Duration, recipient: Option<Kid>, now: Timestamp) -> Self {
        Self { period, next_time: now.checked_add(period).unwrap_or(Timestamp::MAX), recipient }
    }
}
