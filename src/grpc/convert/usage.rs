use super::{
    common::{parse, timestamp, to_timestamp},
    limit::to_amount,
    verify::to_verdict,
};
use crate::{
    domain::{
        id::Revision,
        refusal::{Refusal, Violations},
        time::Timestamp,
        usage::{Decided, KeyShare, KeyUsage, Move, UsageRange, UsageUnit, Whose},
    },
    keys::{GetKeyUsage, UsageReport},
    pb,
};

pub(in crate::grpc) fn get_usage(request: &pb::GetKeyUsageRequest, now: Timestamp) -> Result<GetKeyUsage, Refusal> {
    let mut v = Violations::default();
    let application_id = parse(&request.application_id, "application_id", &mut v);
    let key_id = match request.key_id.as_str() {
        "" => None,
        text => parse(text, "key_id", &mut v),
    };
    let unit = unit(request.step, &mut v);
    let start = request.start_time.map(|time| timestamp(time, "start_time", &mut v));
    let end = request.end_time.map(|time| timestamp(time, "end_time", &mut v));
    let range = match (start, end) {
        (Some(None), _) | (_, Some(None)) => None,
        (start, end) => {
            UsageRange::new(unit, start.flatten(), end.flatten(), now).map_err(|wrong| v.append(wrong)).ok()
        }
    };
    let (application_id, range) = v.settle_with(application_id.zip(range))?;
    Ok(GetKeyUsage { whose: Whose { application_id, key_id }, range })
}

fn unit(step: i32, violations: &mut Violations) -> UsageUnit {
    match pb::UsageStep::try_from(step) {
        Ok(pb::UsageStep::Unspecified | pb::UsageStep::Hour) => UsageUnit::Hour,
        Ok(pb::UsageStep::Day) => UsageUnit::Day,
        Err(_) => {
            violations.add("step", "is not a value of UsageStep");
            UsageUnit::Hour
        }
    }
}

pub(in crate::grpc) fn to_report(report: &UsageReport, revision: Revision) -> pb::GetKeyUsageResponse {
    let total = report.series.total();
    pb::GetKeyUsageResponse {
        points: report.series.points().map(|(start, decided)| to_point(start, decided)).collect(),
        requests: to_amount(total.requests()),
        denied: to_amount(total.denied()),
        error_rate: total.error_rate(),
        denied_by: to_denied_by(&total),
        last_used_time: report.last_used_time.map(to_timestamp),
        revision: revision.number(),
        by_key: report.by_key.iter().map(to_share).collect(),
        rotation: report.rotation.as_ref().map(to_rotation),
    }
}

fn to_share(share: &KeyShare) -> pb::KeyShare {
    pb::KeyShare {
        key_id: share.key_id.to_string(),
        requests: to_amount(share.decided.requests()),
        denied: to_amount(share.decided.denied()),
        last_used_time: share.last_used_time.map(to_timestamp),
    }
}

fn to_rotation(movement: &Move) -> pb::Rotation {
    let Move { old, new, overlap_end_time, safe_to_end } = movement;
    pb::Rotation {
        old_key_id: old.key_id.to_string(),
        new_key_id: new.key_id.to_string(),
        overlap_end_time: Some(to_timestamp(*overlap_end_time)),
        old_requests: to_amount(old.decided.requests()),
        new_requests: to_amount(new.decided.requests()),
        last_used_time: old.last_used_time.map(to_timestamp),
        safe_to_end: *safe_to_end,
    }
}

fn to_point(start: Timestamp, decided: &Decided) -> pb::UsagePoint {
    pb::UsagePoint {
        start_time: Some(to_timestamp(start)),
        requests: to_amount(decided.requests()),
        denied: to_amount(decided.denied()),
        error_rate: decided.error_rate(),
        denied_by: to_denied_by(decided),
    }
}

fn to_denied_by(decided: &Decided) -> Vec<pb::DeniedBy> {
    let denied = |(verdict, count)| pb::DeniedBy { verdict: to_verdict(verdict).into(), requests: to_amount(count) };
    decided.denied_by().map(denied).collect()
}

/// None for a key that was not asked about this month.
pub(super) fn to_usage(usage: &KeyUsage) -> Option<pb::KeyUsage> {
    (usage.requests_this_month > 0).then(|| pb::KeyUsage {
        requests_today: to_amount(usage.requests_today),
        requests_this_month: to_amount(usage.requests_this_month),
        denied_today: to_amount(usage.denied_today),
    })
}
