use uuid::Uuid;

use super::VerifyFailed;
use crate::{
    chain::{Link, Record},
    pb,
};

/// The event as it is hashed. What could be read in two ways is refused.
pub(super) fn link(event: pb::AuditEvent) -> Result<Link, VerifyFailed> {
    let audit_id = Uuid::try_parse(&event.audit_id).map_err(|_| VerifyFailed::Answer("an audit_id is no UUID"))?;
    let time = event.time.as_ref().and_then(micros).ok_or(VerifyFailed::Answer("a time is not in microseconds"))?;
    let record = Record {
        seq: event.seq,
        audit_id,
        time,
        revision: event.revision,
        service_account_id: event.service_account_id,
        kid: event.kid,
        method: event.method,
        request_id: event.request_id,
        peer: event.peer,
        outcome: event.outcome,
        application_id: event.application_id,
        resource: event.resource_id,
        before: event.before,
        after: event.after,
    };
    Ok(Link { record, previous: event.previous_hash, hash: event.hash })
}

fn micros(time: &prost_types::Timestamp) -> Option<i64> {
    let in_form = (0..1_000_000_000).contains(&time.nanos) && time.nanos % 1000 == 0;
    let micros = i64::from(time.nanos / 1000);
    time.seconds.checked_mul(1_000_000)?.checked_add(micros).filter(|_| in_form)
}
