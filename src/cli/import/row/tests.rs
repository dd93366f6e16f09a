use serde_json::json;

use super::*;
use crate::pb;

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
    let wrong = read(json!({"type": "x", "expire_time": "tomorrow", "permissions": "a", "quotas": [1], "disabled": 1}));
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
