mod key;

use serde_json::{Map, Value};

pub(super) use key::key;

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

/// A name that is longer may be the text of a key, and is not repeated.
const NAME: usize = 24;

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
        let long = name.chars().count();
        if long > NAME {
            return Err(format!(
                "what names a field is {long} characters long, and is no field of a key ({HASH}, {fields}): does the file \
                 begin with a key, and not with the names? To pass over a field, say --ignore and its name"
            ));
        }
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

#[cfg(test)]
mod tests;
