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
        usage::{Decided, KeyUsage, UsageRange, UsageUnit, Whose},
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
