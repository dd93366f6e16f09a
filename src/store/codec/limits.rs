//! Limits, quotas and plans, as they are stored.

use std::time::Duration;

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Word, corrupt};
use crate::{
    domain::limit::{Amount, LimitName, LimitRefused, Limits, Plan, Quota, QuotaPeriod, RateLimit, Window},
    store::Error,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimitRow {
    name: String,
    limit: i64,
    window_seconds: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaRow {
    limit: i64,
    period: String,
}

impl RateLimitRow {
    fn read(self) -> Result<RateLimit, LimitRefused> {
        Ok(RateLimit {
            name: LimitName::parse(&self.name)?,
            limit: Amount::new(self.limit)?,
            window: Window::new(Duration::from_secs(u64::from(self.window_seconds)))?,
        })
    }
}

pub(super) fn limits(rate_limits: Json, quotas: Json) -> Result<Limits, Error> {
    Ok(Limits { rate_limits: self::rate_limits(rate_limits)?, quotas: self::quotas(quotas)? })
}

fn rate_limits(json: Json) -> Result<Vec<RateLimit>, Error> {
    let rows: Vec<RateLimitRow> = serde_json::from_value(json).map_err(|error| corrupt("rate limits", error))?;
    rows.into_iter().map(|row| row.read().map_err(|error| corrupt("rate limit", error))).collect()
}

fn quotas(json: Json) -> Result<Vec<Quota>, Error> {
    let rows: Vec<QuotaRow> = serde_json::from_value(json).map_err(|error| corrupt("quotas", error))?;
    let read = |row: QuotaRow| {
        let limit = Amount::new(row.limit).map_err(|error| corrupt("quota", error))?;
        Ok(Quota { limit, period: QuotaPeriod::read(&row.period)? })
    };
    rows.into_iter().map(read).collect()
}

pub(super) fn rate_limits_json(limits: &[RateLimit]) -> Json {
    let row = |limit: &RateLimit| json!({"name": limit.name.as_str(), "limit": limit.limit.get(), "window_seconds": limit.window.seconds()});
    limits.iter().map(row).collect()
}

pub(super) fn quotas_json(quotas: &[Quota]) -> Json {
    quotas.iter().map(|quota| json!({"limit": quota.limit.get(), "period": quota.period.word()})).collect()
}

pub(in crate::store) const NO_PLAN: &str = "none";

/// A plan as its word and its own limits.
pub(super) fn plan(word: &str, rate_limits: Json) -> Result<Plan, Error> {
    let own = self::rate_limits(rate_limits)?;
    match (word, own.is_empty()) {
        (NO_PLAN, true) => Ok(Plan::None),
        ("free", true) => Ok(Plan::Free),
        ("professional", true) => Ok(Plan::Professional),
        ("enterprise", _) => Ok(Plan::Enterprise(own.into())),
        _ => Err(corrupt("plan", word)),
    }
}

pub(super) fn plan_row(plan: &Plan) -> (String, Json) {
    let (word, own) = match plan {
        Plan::None => (NO_PLAN, &[][..]),
        Plan::Free => ("free", &[][..]),
        Plan::Professional => ("professional", &[][..]),
        Plan::Enterprise(limits) => ("enterprise", &limits[..]),
    };
    (word.to_owned(), rate_limits_json(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_limits_read_back() {
        let limit = RateLimit {
            name: LimitName::parse("burst").expect("name"),
            limit: Amount::new(7).expect("amount"),
            window: Window::new(Duration::from_secs(10)).expect("window"),
        };
        for kind in [Plan::None, Plan::Free, Plan::Professional, Plan::Enterprise([limit.clone()].into())] {
            let (word, own) = plan_row(&kind);
            assert_eq!(plan(&word, own).expect("reads"), kind);
        }
        let quota = Quota { limit: Amount::new(9).expect("amount"), period: QuotaPeriod::Month };
        let read = limits(rate_limits_json(std::slice::from_ref(&limit)), quotas_json(&[quota])).expect("reads");
        assert_eq!(read, Limits { rate_limits: vec![limit], quotas: vec![quota] });
    }

    #[test]
    fn limits_that_only_a_newer_version_knows_do_not_read() {
        let newer = json!([{"name": "a", "limit": 1, "window_seconds": 1, "sliding": true}]);
        assert!(limits(newer, json!([])).is_err());
        assert!(plan("galactic", json!([])).is_err());
    }
}
