use super::common::{parse, timestamp, to_timestamp};
use crate::{
    audit::{AuditPage, ListAuditEvents},
    chain::{Head, Link},
    domain::{
        page::PageRequest,
        refusal::{Refusal, Violations},
        time::Timestamp,
    },
    grpc::{status::is_reason, unpack},
    pb,
    store::{AuditFilter, AuditOrder},
};

const PACKAGE: &str = "portcullis.v1.";
/// The longest method or id that is looked for.
const LONGEST: usize = 128;

pub(in crate::grpc) fn list(request: &pb::ListAuditEventsRequest) -> Result<ListAuditEvents, Refusal> {
    let mut v = Violations::default();
    let filter = AuditFilter {
        application_id: given(&request.application_id, |text| parse(text, "application_id", &mut v)),
        resource: given(&request.resource_id, |text| resource(text, &mut v)),
        service_account_id: given(&request.service_account_id, |text| parse(text, "service_account_id", &mut v)),
        method: given(&request.method, |text| method(text, &mut v)),
        outcome: given(&request.outcome, |text| outcome(text, &mut v)),
        refused_only: request.refused_only,
        start: request.start_time.and_then(|time| timestamp(time, "start_time", &mut v)),
        end: request.end_time.and_then(|time| timestamp(time, "end_time", &mut v)),
        after_seq: after_seq(request.after_seq, &mut v),
        order: order(request.order, &mut v),
    };
    let page = PageRequest::parse(request.page_size, &request.page_token, &bound_to(&filter).each_ref().map(|t| &**t));
    let ((), page) = unpack::both(v.settle(), page)?;
    Ok(ListAuditEvents { filter, page })
}

/// All that a page token is good for.
fn bound_to(filter: &AuditFilter) -> [String; 11] {
    let AuditFilter {
        application_id,
        resource,
        service_account_id,
        method,
        outcome,
        refused_only,
        start,
        end,
        after_seq,
        order,
    } = filter;
    let micros = |time: &Option<Timestamp>| time.map_or_else(String::new, |time| time.micros().to_string());
    [
        "audit_events".to_owned(),
        application_id.map_or_else(String::new, |id| id.to_string()),
        resource.clone().unwrap_or_default(),
        service_account_id.map_or_else(String::new, |id| id.to_string()),
        method.clone().unwrap_or_default(),
        outcome.clone().unwrap_or_default(),
        refused_only.to_string(),
        micros(start),
        micros(end),
        after_seq.to_string(),
        format!("{order:?}"),
    ]
}

fn given<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    if text.is_empty() { None } else { read(text) }
}

/// The id of whatever kind of thing.
fn resource(text: &str, violations: &mut Violations) -> Option<String> {
    let is_id = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_id {
        violations.add("resource_id", "is not the id of a key, an application or a service account");
    }
    is_id.then(|| text.to_owned())
}

/// In full; the operator's commands are without a slash.
fn method(text: &str, violations: &mut Violations) -> Option<String> {
    if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
        violations.add("method", "is not a method such as KeyService/RevokeKey");
        return None;
    }
    let text = text.strip_prefix('/').unwrap_or(text);
    let is_short = text.contains('/') && !text.starts_with(PACKAGE);
    Some(if is_short { format!("{PACKAGE}{text}") } else { text.to_owned() })
}

fn outcome(text: &str, violations: &mut Violations) -> Option<String> {
    if text == "OK" || is_reason(text) {
        return Some(text.to_owned());
    }
    violations.add("outcome", "is neither OK nor a reason of ErrorReason, such as GRANT_EXCEEDED");
    None
}

fn after_seq(seq: i64, violations: &mut Violations) -> i64 {
    if seq < 0 {
        violations.add("after_seq", "must not be negative");
    }
    seq
}

fn order(number: i32, violations: &mut Violations) -> AuditOrder {
    match pb::AuditOrder::try_from(number) {
        Ok(pb::AuditOrder::Unspecified | pb::AuditOrder::NewestFirst) => AuditOrder::NewestFirst,
        Ok(pb::AuditOrder::OldestFirst) => AuditOrder::OldestFirst,
        Err(_) => {
            violations.add("order", "is not a value of AuditOrder");
            AuditOrder::NewestFirst
        }
    }
}

pub(in crate::grpc) fn to_page(AuditPage { page, head, revision }: AuditPage) -> pb::ListAuditEventsResponse {
    pb::ListAuditEventsResponse {
        audit_events: page.items.into_iter().map(to_event).collect(),
        next_page_token: page.next_page_token,
        revision: revision.number(),
        head: head.map(to_head),
    }
}

fn to_event(Link { record, previous, hash }: Link) -> pb::AuditEvent {
    pb::AuditEvent {
        seq: record.seq,
        audit_id: record.audit_id.to_string(),
        time: Some(to_timestamp(Timestamp::from_micros(record.time))),
        revision: record.revision,
        service_account_id: record.service_account_id,
        kid: record.kid,
        method: record.method,
        request_id: record.request_id,
        peer: record.peer,
        outcome: record.outcome,
        application_id: record.application_id,
        resource_id: record.resource,
        before: record.before,
        after: record.after,
        previous_hash: previous,
        hash,
    }
}

fn to_head(head: Head) -> pb::AuditHead {
    pb::AuditHead { log_id: head.log_id, seq: head.seq, hash: head.hash, unchained_events: head.loose }
}
