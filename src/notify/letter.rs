//! A notice in words for people.

use serde_json::Value;

/// A subject and a text. What the payload says, in its order, one line for each.
pub(super) fn letter(kind: &str, payload: &str) -> (String, String) {
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    let (data, text) = (&payload["data"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
    let name = match (&data["key"], &data["webhook"]) {
        (Value::Null, webhook) => text(&webhook["host"]),
        (key, _) => format!("{} ({})", text(&key["name"]), text(&key["prefix"])),
    };
    let mut lines =
        vec![format!("{}: {name}", in_words(kind)), String::new(), format!("time: {}", text(&payload["timestamp"]))];
    tell(data, "", &mut lines);
    lines.push(String::new());
    lines.push("You are told of this because the application names your address in its notify_emails.".to_owned());
    (format!("[Portcullis] {kind}: {name}"), lines.join("\n") + "\n")
}

fn in_words(kind: &str) -> &str {
    match kind {
        "key.created" => "A key was created",
        "key.updated" => "A key was changed",
        "key.revoked" => "A key was revoked",
        "key.rotated" => "A key was rotated: another takes its place",
        "key.expiring" => "A key reaches its time soon",
        "key.expired" => "A key has expired",
        "key.renewed" => "A key was renewed",
        "key.unused" => "A key has not been used for 90 days",
        "key.leaked" => "The text of a key was found where it does not belong",
        "key.suspicious" => "A key is used unlike before",
        "limit.exceeded" => "A key used up a rate limit",
        "quota.exceeded" => "A key used up a quota",
        "webhook.disabled" => "A webhook was disabled, since nothing arrived there",
        other => other,
    }
}

fn tell(value: &Value, name: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                tell(value, &name, lines);
            }
        }
        Value::Null => {}
        // What people wrote cannot look like a line of ours.
        Value::String(text) => lines.push(format!("{name}: {}", text.replace('\n', "\n    "))),
        Value::Array(items) => {
            let items: Vec<_> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            lines.push(format!("{name}: {}", items.join(", ")));
        }
        other => lines.push(format!("{name}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::EventType;

    #[test]
    fn it_says_what_the_payload_says() {
        let payload = r#"{"data":{"application_id":"app_1","key":{"key_id":"key_1","name":"Käse","prefix":"sk_live_Ab12Cd"},"fields":["name","labels"],"denied":7,"none":null},"timestamp":"2026-11-21T00:00:00Z","type":"key.updated"}"#;
        let (subject, text) = letter("key.updated", payload);
        assert_eq!(subject, "[Portcullis] key.updated: Käse (sk_live_Ab12Cd)");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "A key was changed: Käse (sk_live_Ab12Cd)");
        for line in [
            "time: 2026-11-21T00:00:00Z",
            "application_id: app_1",
            "key.key_id: key_1",
            "fields: name, labels",
            "denied: 7",
        ] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("none"));
    }

    #[test]
    fn every_type_has_its_words() {
        for kind in EventType::ALL {
            assert_ne!(in_words(kind), kind);
        }
    }
}
