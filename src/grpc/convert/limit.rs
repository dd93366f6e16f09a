use std::time::Duration;

use std::collections::HashSet;

use super::common::{duration, to_duration, to_timestamp};
use crate::{
    domain::{
        balance::Balance,
        limit::{Amount, LimitName, Limits, MAX_RATE_LIMITS, Quota, QuotaPeriod, RateLimit, Window},
        refusal::Violations,
        span::Span,
    },
    pb,
};

/// A key's own limits.
pub(in crate::grpc) fn limits(
    rate_limits: &[pb::RateLimit],
    quotas: &[pb::Quota],
    violations: &mut Violations,
) -> Limits {
    Limits {
        rate_limits: self::rate_limits(rate_limits, "rate_limits", violations),
        quotas: self::quotas(quotas, "quotas", violations),
    }
}

/// At most 10, no name and no window twice: over the same window only the lower one would hold.
pub(in crate::grpc) fn rate_limits(
    limits: &[pb::RateLimit],
    field: &str,
    violations: &mut Violations,
) -> Vec<RateLimit> {
    if limits.len() > MAX_RATE_LIMITS {
        violations.add(field, format!("has {}; at most {MAX_RATE_LIMITS} are allowed", limits.len()));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(limits.len());
    let (mut names, mut windows) = (HashSet::new(), HashSet::new());
    for (at, wish) in limits.iter().enumerate() {
        let of = |part: &str| format!("{field}[{at}].{part}");
        let name = violations.check(&of("name"), LimitName::parse(&wish.name));
        let limit = violations.check(&of("limit"), Amount::new(wish.limit));
        let window = Window::new(wish.window.and_then(duration).unwrap_or_default());
        let window = violations.check(&of("window"), window);
        if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
            violations.add(of("name"), "stands there twice");
        }
        if window.is_some_and(|window| !windows.insert(window)) {
            violations.add(of("window"), "stands there twice, and only the lower limit would hold");
        }
        if let (Some(name), Some(limit), Some(window)) = (name, limit, window) {
            read.push(RateLimit { name, limit, window });
        }
    }
    read
}

/// At most one a period.
pub(in crate::grpc) fn quotas(quotas: &[pb::Quota], field: &str, violations: &mut Violations) -> Vec<Quota> {
    let mut read = Vec::new();
    let mut periods = HashSet::new();
    // More than two cannot be good, and the first few are told.
    for (at, wish) in quotas.iter().enumerate().take(MAX_RATE_LIMITS) {
        let limit = violations.check(&format!("{field}[{at}].limit"), Amount::new(wish.limit));
        let period_field = format!("{field}[{at}].period");
        let period = match pb::QuotaPeriod::try_from(wish.period) {
            Ok(pb::QuotaPeriod::Day) => QuotaPeriod::Day,
            Ok(pb::QuotaPeriod::Month) => QuotaPeriod::Month,
            Ok(pb::QuotaPeriod::Unspecified) | Err(_) => {
                violations.add(period_field, "must be QUOTA_PERIOD_DAY or QUOTA_PERIOD_MONTH");
                continue;
            }
        };
        if !periods.insert(period) {
            violations.add(period_field, "stands there twice, and only the lower limit would hold");
        }
        read.extend(limit.map(|limit| Quota { limit, period }));
    }
    read
}

pub(in crate::grpc) fn to_rate_limit(limit: &RateLimit) -> pb::RateLimit {
    pb::RateLimit {
        name: limit.name.as_str().to_owned(),
        limit: to_amount(limit.limit.get()),
        window: Some(to_duration(Duration::from_secs(limit.window.seconds().into()))),
    }
}

pub(in crate::grpc) fn to_quota(quota: &Quota) -> pb::Quota {
    let period = match quota.period {
        QuotaPeriod::Day => pb::QuotaPeriod::Day,
        QuotaPeriod::Month => pb::QuotaPeriod::Month,
    };
    pb::Quota { limit: to_amount(quota.limit.get()), period: period.into() }
}

pub(in crate::grpc) fn to_status(balance: &Balance) -> pb::RateLimitStatus {
    pb::RateLimitStatus {
        name: balance.name.to_string(),
        limit: to_amount(balance.limit),
        remaining: to_amount(balance.remaining),
        reset_time: Some(to_timestamp(balance.reset_time)),
        window: match balance.span {
            Span::Seconds(length) => Some(to_duration(Duration::from_secs(length.into()))),
            Span::Day | Span::Month => None,
        },
    }
}

pub(in crate::grpc) fn to_amount(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
