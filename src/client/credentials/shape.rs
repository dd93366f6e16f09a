use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Account, Credentials, Why};
use crate::signing::{DEFAULT_AUDIENCE, PrivateKey};

const TYPE: &str = "service_account";

/// Google's shape, so that google-auth and gRPC's own libraries read it too. Fields that
/// those know and this does not (`project_id`, …) are passed over.
#[derive(Deserialize)]
struct Fields {
    r#type: Option<String>,
    client_id: Option<String>,
    client_email: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<SecretString>,
    audience: Option<String>,
    endpoint: Option<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    r#type: &'static str,
    client_id: &'a str,
    client_email: &'a str,
    private_key_id: &'a str,
    private_key: &'a str,
    /// No token is fetched anywhere: google-auth insists on the field.
    token_uri: &'a str,
    audience: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

pub(super) fn parse(text: &str) -> Result<Credentials, Why> {
    let fields: Fields = serde_json::from_str(text).map_err(|e| Why::Json { line: e.line(), column: e.column() })?;
    let mut missing = Vec::new();
    let kind = required("type", fields.r#type, &mut missing);
    let client_id = required("client_id", fields.client_id, &mut missing);
    let client_email = required("client_email", fields.client_email, &mut missing);
    let kid = required("private_key_id", fields.private_key_id, &mut missing);
    if fields.private_key.as_ref().is_none_or(|key| key.expose_secret().is_empty()) {
        missing.push("private_key");
    }
    let (Some(pem), []) = (&fields.private_key, missing.as_slice()) else {
        return Err(Why::Missing(missing.join(", ")));
    };
    if kind != TYPE {
        return Err(Why::Type);
    }
    let key = PrivateKey::from_pem(pem.expose_secret())?;
    if key.public().kid().as_str() != kid {
        return Err(Why::Kid(key.public().kid().clone()));
    }
    let audience = fields.audience.filter(|a| !a.is_empty()).unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned());
    let endpoint = fields.endpoint.filter(|e| !e.is_empty());
    Ok(Credentials::new(Account { client_id, client_email, audience, endpoint }, key))
}

fn required(name: &'static str, value: Option<String>, missing: &mut Vec<&'static str>) -> String {
    let value = value.unwrap_or_default();
    if value.is_empty() {
        missing.push(name);
    }
    value
}

pub(super) fn print(credentials: &Credentials) -> Result<Zeroizing<String>, Why> {
    let Account { client_id, client_email, audience, endpoint } = &credentials.account;
    let pem = credentials.key.to_pem()?;
    let mut text = Zeroizing::new(
        serde_json::to_string_pretty(&Written {
            r#type: TYPE,
            client_id,
            client_email,
            private_key_id: credentials.kid().as_str(),
            private_key: pem.expose_secret(),
            token_uri: endpoint.as_deref().unwrap_or(audience),
            audience,
            endpoint: endpoint.as_deref(),
        })
        .map_err(|e| Why::Write(e.into()))?,
    );
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::{Value, json};

    use super::*;

    static WRITTEN: LazyLock<Value> = LazyLock::new(|| {
        let text = print(&made()).expect("json");
        serde_json::from_str(&text).expect("an object")
    });

    fn made() -> Credentials {
        let account = Account {
            client_id: "sa_1".to_owned(),
            client_email: "admin@demo.portcullis".to_owned(),
            audience: "staging".to_owned(),
            endpoint: Some("http://127.0.0.1:50051".to_owned()),
        };
        Credentials::new(account, PrivateKey::generate().expect("generate"))
    }

    /// The file with one field changed, or without it.
    fn parse_with(field: &str, value: Option<Value>) -> Result<Credentials, Why> {
        let mut file = WRITTEN.clone();
        let object = file.as_object_mut().expect("an object");
        match value {
            Some(value) => object.insert(field.to_owned(), value),
            None => object.remove(field),
        };
        parse(&file.to_string())
    }

    fn refusal(read: Result<Credentials, Why>) -> String {
        read.expect_err("refused").to_string()
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("admin.json");
        let made = made();
        made.write_new(&path).expect("write");
        let read = Credentials::read(&path).expect("read");
        assert_eq!((read.account(), read.kid()), (made.account(), made.kid()));
        let again = made.write_new(&path).expect_err("exists").to_string();
        assert!(again.contains("admin.json: is there already"), "{again}");
    }

    #[test]
    fn it_holds_what_google_auth_and_grpc_ask_for() {
        for field in ["type", "client_id", "client_email", "private_key_id", "private_key", "token_uri"] {
            assert!(WRITTEN[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        assert_eq!(WRITTEN["type"], "service_account");
        assert!(WRITTEN["private_key"].as_str().is_some_and(|pem| pem.starts_with("-----BEGIN PRIVATE KEY-----\n")));
    }

    #[test]
    fn every_missing_field_is_named_at_once() {
        assert_eq!(
            refusal(parse(r#"{"client_id": "x", "client_email": ""}"#)),
            "not a complete credentials file: without type, client_email, private_key_id, private_key"
        );
    }

    #[test]
    fn what_the_file_may_leave_out() {
        assert_eq!(parse_with("audience", None).expect("read").account().audience, DEFAULT_AUDIENCE);
        assert_eq!(parse_with("endpoint", None).expect("read").account().endpoint, None);
        parse_with("project_id", Some(json!("unknown to us"))).expect("read");
    }

    #[test]
    fn parts_of_two_files_are_refused() {
        let other = made().kid().to_string();
        assert!(matches!(parse_with("private_key_id", Some(json!(other))), Err(Why::Kid(_))));
    }

    #[test]
    fn no_refusal_shows_the_key() {
        let pem = WRITTEN["private_key"].as_str().expect("text").to_owned();
        let cut = pem.replacen("MII", "MIJ", 1);
        assert!(refusal(parse_with("private_key", Some(json!(cut)))).contains("not an RSA private key"));
        // The key as the whole file, and where a string belongs.
        let whole = refusal(parse(&json!(pem).to_string()));
        assert!(whole.starts_with("not a credentials file: ") && !whole.contains("MII"), "{whole}");
        let nested = refusal(parse_with("endpoint", Some(json!({ "a": pem }))));
        assert!(!nested.contains("MII"), "{nested}");
        assert!(matches!(parse_with("type", Some(json!("authorized_user"))), Err(Why::Type)));
    }

    #[test]
    fn debug_shows_no_number_of_the_key() {
        let shown = format!("{:?}", made());
        assert!(shown.len() < 300 && !shown.contains("PRIVATE"), "{shown}");
    }
}
