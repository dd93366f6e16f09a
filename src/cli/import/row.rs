use std::time::Duration;

use serde_json::{Map, Value};

use super::hash;
use crate::pb;

/// The field that holds the hash, unless it is said to have another name.
pub(super) const HASH: &str = "secret_sha256";
/// What a key may have beside it.
const FIELDS: [&str; 14] = [
    "name",
    "description",
    "type",
    "environment",
    "prefix",
    "permissions",
    "expire_time",
    "ip_allowlist",
    "referrer_allowlist",
    "resource_allowlist",
    "rate_limits",
    "quotas",
    "labels",
    "disabled",
];
/// Those that are lists in a cell.
const LISTS: [&str; 4] = ["permissions", "ip_allowlist", "referrer_allowlist", "resource_allowlist"];
/// What is called so holds the texts of keys mostly.
const TEXTS: [&str; 12] = [
    "key",
    "api_key",
    "apikey",
    "secret",
    "secret_key",
    "token",
    "access_token",
    "plaintext",
    "plain_text",
    "key_text",
    "password",
    "secret_text",
];

/// One key as a file has it: its fields by name.
pub(super) type Fields = Map<String, Value>;

/// Which fields are which.
#[derive(Debug, Clone)]
pub(super) struct Names {
    hash: String,
    ignored: Vec<String>,
}

impl Names {
    pub(super) fn new(hash: &str, ignored: &[String]) -> Self {
        Self { hash: normal(hash), ignored: ignored.iter().map(|name| normal(name)).collect() }
    }

    /// Whether a field of this name is one that is read. An error says what to do about it.
    pub(super) fn takes(&self, name: &str) -> Result<bool, String> {
        let known = normal(name);
        if known == self.hash || FIELDS.contains(&known.as_str()) {
            return Ok(true);
        }
        if TEXTS.contains(&known.as_str()) {
            return Err(format!(
                "`{name}` seems to hold the texts of keys, which are never read here: leave it out of the file, and give \
                 the SHA-256 of each text instead (`printf %s \"$KEY\" | sha256sum`); if these are the hashes, say \
                 --hash-column {name}"
            ));
        }
        if self.ignored.contains(&known) {
            return Ok(false);
        }
        let fields = FIELDS.join(", ");
        Err(format!("`{name}` is no field of a key ({HASH}, {fields}); to pass over it, say --ignore {name}"))
    }

    pub(super) fn is_hash(&self, name: &str) -> bool {
        normal(name) == self.hash
    }

    /// The name that a field goes by here.
    pub(super) fn of(&self, name: &str) -> String {
        if self.is_hash(name) { HASH.to_owned() } else { normal(name) }
    }
}

/// `Expire Time` as `expire_time`.
pub(super) fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// A cell of a CSV file as JSON would have it. None: it is empty.
pub(super) fn cell(name: &str, text: &str) -> Result<Option<Value>, String> {
    let text = if name == "description" { text } else { text.trim() };
    if text.is_empty() {
        return Ok(None);
    }
    let items = || text.split(';').map(str::trim).filter(|item| !item.is_empty());
    let pair = |item: &str| {
        let halves = item.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        halves.ok_or_else(|| format!("{name}: each item is name=value, and they are separated by `;`"))
    };
    let value = match name {
        "disabled" => Value::Bool(match text.to_lowercase().as_str() {
            "true" | "1" | "yes" => true,
            "false" | "0" | "no" => false,
            _ => return Err("disabled: is neither true nor false".to_owned()),
        }),
        "labels" => Value::Object(
            items().map(|item| pair(item).map(|(key, value)| (key, value.into()))).collect::<Result<_, _>>()?,
        ),
        "rate_limits" => {
            let limit = |item| {
                let (limit_name, value) = pair(item)?;
                let (limit, window) =
                    value.split_once('/').ok_or("rate_limits: write it as name=limit/window, burst=10/1s")?;
                Ok(serde_json::json!({"name": limit_name, "limit": limit, "window": window}))
            };
            items().map(limit).collect::<Result<_, String>>()?
        }
        "quotas" => {
            let quota = |item| pair(item).map(|(period, limit)| serde_json::json!({"period": period, "limit": limit}));
            items().map(quota).collect::<Result<_, String>>()?
        }
        list if LISTS.contains(&list) => items().collect(),
        _ => text.into(),
    };
    Ok(Some(value))
}

/// The key, or all that is wrong with it.
pub(super) fn key(mut fields: Fields) -> Result<pb::KeyToImport, String> {
    let mut wrong = Vec::new();
    let mut note = |name: &str, what: String| wrong.push(format!("{name}: {what}"));
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let mut key = pb::KeyToImport::default();
    match take(HASH) {
        Some(Value::String(text)) => match hash::parse(&text) {
            Ok(hash) => key.secret_sha256 = hash.to_vec(),
            Err(why) => note(HASH, why),
        },
        _ => note(HASH, "is missing".to_owned()),
    }
    for (name, to) in [("name", &mut key.name), ("description", &mut key.description), ("prefix", &mut key.prefix)] {
        match take(name) {
            None => {}
            Some(Value::String(text)) => *to = text,
            Some(_) => note(name, "is no text".to_owned()),
        }
    }
    if key.name.trim().is_empty() {
        note("name", "is missing".to_owned());
    }
    for (name, to) in [
        ("permissions", &mut key.permissions),
        ("ip_allowlist", &mut key.ip_allowlist),
        ("referrer_allowlist", &mut key.referrer_allowlist),
        ("resource_allowlist", &mut key.resource_allowlist),
    ] {
        match take(name).map(serde_json::from_value) {
            None => {}
            Some(Ok(list)) => *to = list,
            Some(Err(_)) => note(name, "is no list of texts".to_owned()),
        }
    }
    let mut read = |name: &str, set: &mut dyn FnMut(Value) -> Result<(), String>| {
        if let Some(Err(why)) = take(name).map(set) {
            note(name, why);
        }
    };
    read("type", &mut |value| {
        key.r#type =
            word(&value, "KEY_TYPE_", pb::KeyType::from_str_name).ok_or("is neither secret nor publishable")?.into();
        Ok(())
    });
    read("environment", &mut |value| {
        key.environment = word(&value, "KEY_ENVIRONMENT_", pb::KeyEnvironment::from_str_name)
            .ok_or("is neither live nor test")?
            .into();
        Ok(())
    });
    read("expire_time", &mut |value| {
        let time = value.as_str().and_then(|text| text.parse().ok());
        key.expire_time =
            Some(time.ok_or("is no time such as 2027-01-31T00:00:00Z; leave it out where it never ends")?);
        Ok(())
    });
    read("rate_limits", &mut |value| {
        key.rate_limits = items(value, rate_limit)?;
        Ok(())
    });
    read("quotas", &mut |value| {
        key.quotas = items(value, quota)?;
        Ok(())
    });
    read("labels", &mut |value| {
        let Value::Object(labels) = value else { return Err("is no object of texts".to_owned()) };
        for (name, value) in labels {
            let Value::String(value) = value else { return Err("is no object of texts".to_owned()) };
            key.labels.push(pb::Label { key: name, value });
        }
        Ok(())
    });
    read("disabled", &mut |value| {
        key.disabled = value.as_bool().ok_or("is neither true nor false")?;
        Ok(())
    });
    if wrong.is_empty() { Ok(key) } else { Err(wrong.join("; ")) }
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
    let known = item.len() == 3;
    known.then_some(pb::RateLimit { name, limit: number(item)?, window: Some(whole_seconds(window)?) })
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

fn whole_seconds(duration: Duration) -> Option<prost_types::Duration> {
    let nanos = i32::try_from(duration.subsec_nanos()).ok()?;
    Some(prost_types::Duration { seconds: i64::try_from(duration.as_secs()).ok()?, nanos })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<pb::KeyToImport, String> {
        let Value::Object(fields) = value else { panic!("an object") };
        key(fields)
    }

    fn hash() -> String {
        "ab".repeat(32)
    }

    #[test]
    fn a_cell_says_what_json_says() {
        let cells = [
            ("secret_sha256", hash()),
            ("name", " a ".to_owned()),
            ("description", String::new()),
            ("type", "publishable".to_owned()),
            ("environment", "TEST".to_owned()),
            ("permissions", "tasks:read; tasks:write;".to_owned()),
            ("expire_time", "2027-01-31T00:00:00+01:00".to_owned()),
            ("rate_limits", "burst=10/1s;minute=100/1m".to_owned()),
            ("quotas", "day=1000".to_owned()),
            ("labels", "team=a=b".to_owned()),
            ("disabled", "TRUE".to_owned()),
        ];
        let mut fields = Fields::new();
        for (name, text) in cells {
            fields.extend(cell(name, &text).expect(name).map(|value| (name.to_owned(), value)));
        }
        let of_csv = key(fields).expect("a key");
        let of_json = read(json!({
            "secret_sha256": hash(), "name": "a", "type": "KEY_TYPE_PUBLISHABLE", "environment": "test",
            "permissions": ["tasks:read", "tasks:write"], "expire_time": "2027-01-30T23:00:00Z",
            "rate_limits": [{"name": "burst", "limit": 10, "window": "1s"}, {"name": "minute", "limit": 100, "window": "60s"}],
            "quotas": [{"period": "DAY", "limit": 1000}], "labels": {"team": "a=b"}, "disabled": true, "prefix": null,
        }));
        assert_eq!(of_csv, of_json.expect("a key"));
        assert_eq!(of_csv.expire_time.expect("a time").seconds, 1_801_350_000);
    }

    #[test]
    fn all_that_is_wrong_with_a_row_is_said_at_once() {
        let wrong =
            read(json!({"type": "x", "expire_time": "tomorrow", "permissions": "a", "quotas": [1], "disabled": 1}));
        let wrong = wrong.expect_err("wrong");
        for field in ["secret_sha256", "name", "type", "expire_time", "permissions", "quotas", "disabled"] {
            assert!(wrong.contains(&format!("{field}: ")), "{field} in {wrong}");
        }
    }

    #[test]
    fn texts_of_keys_are_never_taken() {
        let names = Names::new(HASH, &["tenant".to_owned()]);
        for name in ["key", "API Key", "api-key", "Secret", "token"] {
            let why = names.takes(name).expect_err(name);
            assert!(why.contains("sha256sum") && why.contains("--hash-column"), "{why}");
        }
        assert!(names.takes("owner").expect_err("unknown").contains("--ignore owner"));
        assert_eq!((names.takes("Tenant"), names.takes("Expire Time")), (Ok(false), Ok(true)));
        let named = Names::new("key", &[]);
        assert_eq!((named.takes("Key"), named.of("Key").as_str()), (Ok(true), HASH));
    }
}
