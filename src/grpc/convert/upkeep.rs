//! Renewal and rotation without anybody asking.

use std::time::Duration;

use super::common::{duration, to_duration, to_timestamp};
use crate::{
    domain::{key::Key, lineage::MAX_OVERLAP, refusal::Violations, upkeep::ROTATION_PERIODS},
    pb,
    signing::Kid,
};

/// Unset: none.
pub(in crate::grpc) fn rotation_period(
    period: Option<prost_types::Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    let period = period?;
    let fits = duration(period).filter(|period| ROTATION_PERIODS.contains(period));
    if fits.is_none() {
        violations.add(field, "must be from 1 day to 10 years");
    }
    fits
}

/// Empty: nobody.
pub(in crate::grpc) fn recipient(kid: &str, field: &str, violations: &mut Violations) -> Option<Kid> {
    if kid.is_empty() { None } else { violations.check(field, kid.parse()) }
}

/// An overlap, where one is named.
pub(in crate::grpc) fn overlap(
    overlap: Option<prost_types::Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    let overlap = overlap?;
    let fits = duration(overlap).filter(|overlap| *overlap <= MAX_OVERLAP);
    if fits.is_none() {
        violations.add(field, "must be from 0 to 365 days");
    }
    fits
}

/// Fills in what the service does by itself, and where the key stands in its chain.
pub(super) fn add(key: &Key, to: &mut pb::Key) {
    let id = |id: crate::domain::id::KeyId| id.to_string();
    to.rotated_from = key.lineage.rotated_from.map(id).unwrap_or_default();
    to.rotated_to = key.lineage.successor.map(|successor| id(successor.key_id)).unwrap_or_default();
    to.overlap_end_time = key.lineage.successor.map(|successor| to_timestamp(successor.overlap_end_time));
    to.auto_renew = key.upkeep.auto_renew;
    if let Some(rotation) = &key.upkeep.rotation {
        to.rotation_period = Some(to_duration(rotation.period));
        to.rotation_recipient_kid = rotation.recipient.as_ref().map(ToString::to_string).unwrap_or_default();
        // What has a successor is not rotated again.
        let next_time = Some(rotation.next_time).filter(|_| key.lineage.successor.is_none());
        to.next_rotation_time = next_time.map(to_timestamp);
    }
}
