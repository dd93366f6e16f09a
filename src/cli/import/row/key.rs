use std::{str::FromStr as _, time::Duration};

use serde_json::{Map, Value};

use super::{super::hash, Fields, HASH};
use crate::pb;

/// The key, or all that is wrong with it.
pub(in crate::cli::import) fn key(fields: Fields) -> Result<pb::KeyToImport, String> {
    let mut taken = Taken { fields, wrong: Vec::new() };
    let key = pb::KeyToImport {
        secret_sha256: taken.needed(HASH, |text| hash::parse(&text).map(Vec::from)),
        name: taken.needed("name", Ok),
        description: taken.read("description", text),
        r#type: taken.read("type", |value| {
            let kind = word(&value, "KEY_TYPE_", pb::KeyType::from_str_name);
            Ok(kind.ok_or("is neither secret nor publishable")?.into())
        }),
        environment: taken.read("environment", |value| {
            let environment = word(&value, "KEY_ENVIRONMENT_", pb::KeyEnvironment::from_str_name);
            Ok(environment.ok_or("is neither live nor test")?.into())
        }),
        prefix: taken.read("prefix", text),
        permissions: taken.read("permissions", texts),
        expire_time: taken.read("expire_time", |value| {
            let time = prost_types::Timestamp::from_str(value.as_str().unwrap_or_default());
            Ok(Some(time.map_err(|_| "is no time such as 2027-01-31T00:00:00Z; leave it out where it never ends")?))
        }),
        ip_allowlist: taken.read("ip_allowlist", texts),
        referrer_allowlist: taken.read("referrer_allowlist", texts),
        resource_allowlist: taken.read("resource_allowlist", texts),
        rate_limits: taken.read("rate_limits", |value| items(value, rate_limit)),
        quotas: taken.read("quotas", |value| items(value, quota)),
        labels: taken.read("labels", labels),
        disabled: taken.read("disabled", |value| value.as_bool().ok_or_else(|| "is neither true nor false".to_owned())),
    };
    if taken.wrong.is_empty() { Ok(key) } else { Err(taken.wrong.join("; ")) }
}

/// The fields of a row, of which each is taken once.
struct Taken {
    fields: Fields,
    wrong: Vec<String>,
}

impl Taken {
    /// What it says, or nothing where it is not there.
    fn read<T: Default>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, String>) -> T {
        let value = self.fields.remove(name).filter(|value| !value.is_null());
        value.map(read).transpose().unwrap_or_else(|why| self.note(name, &why)).unwrap_or_default()
    }

    /// A text that must be there.
    fn needed<T: Default>(&mut self, name: &str, read: impl FnOnce(String) -> Result<T, String>) -> T {
        match self.fields.remove(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => {
                read(text).map(Some).unwrap_or_else(|why| self.note(name, &why)).unwrap_or_default()
            }
            _ => self.note::<T>(name, "is missing").unwrap_or_default(),
        }
    }

    fn note<T>(&mut self, name: &str, why: &str) -> Option<T> {
        self.wrong.push(format!("{name}: {why}"));
        None
    }
}

fn text(value: Value) -> Result<String, String> {
    serde_json::from_value(value).map_err(|_| "is no text".to_owned())
}

fn texts(value: Value) -> Result<Vec<String>, String> {
    serde_json::from_value(value).map_err(|_| "is no list of texts".to_owned())
}

fn labels(value: Value) -> Result<Vec<pb::Label>, String> {
    let labels: Map<String, Value> =
        serde_json::from_value(value).map_err(|_| "is no object such as {\"team\": \"billing\"}".to_owned())?;
    labels.into_iter().map(|(key, value)| Ok(pb::Label { key, value: text(value)? })).collect()
}

/// `live`, or `KEY_ENVIRONMENT_LIVE`.
fn word<T>(value: &Value, prefix: &str, known: impl Fn(&str) -> Option<T>) -> Option<T> {
    let text = value.as_str()?.trim().to_uppercase();
    known(&text).or_else(|| known(&format!("{prefix}{text}")))
}

fn items<T>(value: Value, read: impl Fn(&Map<String, Value>) -> Option<T>) -> Result<Vec<T>, String> {
    let Value::Array(items) = value else { return Err("is no list".to_owned()) };
    let each = items.iter().map(|item| item.as_object().and_then(&read));
    each.collect::<Option<_>>().ok_or_else(|| {
        "has an item that is none: {\"name\": \"burst\", \"limit\": 10, \"window\": \"1s\"} of rate_limits, \
         {\"period\": \"day\", \"limit\": 1000} of quotas"
            .to_owned()
    })
}

fn rate_limit(item: &Map<String, Value>) -> Option<pb::RateLimit> {
    let window = humantime::parse_duration(item.get("window")?.as_str()?).ok()?;
    let name = item.get("name")?.as_str()?.to_owned();
    (item.len() == 3).then_some(pb::RateLimit { name, limit: number(item)?, window: Some(proto(window)?) })
}

fn quota(item: &Map<String, Value>) -> Option<pb::Quota> {
    let period = word(item.get("period")?, "QUOTA_PERIOD_", pb::QuotaPeriod::from_str_name)?;
    (item.len() == 2).then_some(pb::Quota { limit: number(item)?, period: period.into() })
}

fn number(item: &Map<String, Value>) -> Option<i64> {
    match item.get("limit")? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

fn proto(duration: Duration) -> Option<prost_types::Duration> {
    let nanos = i32::try_from(duration.subsec_nanos()).ok()?;
    Some(prost_types::Duration { seconds: i64::try_from(duration.as_secs()).ok()?, nanos })
}
