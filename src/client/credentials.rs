use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::signing::{DEFAULT_AUDIENCE, KeyUnreadable, Kid, PrivateKey, PublicKey};

/// Ours are 2 to 4 KiB.
const MAX_FILE: u64 = 64 * 1024;
const TYPE: &str = "service_account";

/// Whose credentials these are, and for which deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The service account's id.
    pub client_id: String,
    /// `iss` and `sub` of its tokens.
    pub client_email: String,
    /// What the deployment calls itself in signatures and tokens.
    pub audience: String,
    /// Where to call it, `http://…` or `https://…`. A file without one needs the caller to say.
    pub endpoint: Option<String>,
}

/// A service account and one of its private keys. `Debug` shows the kid, never the key.
pub struct Credentials {
    account: Account,
    key: PrivateKey,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).field("kid", self.kid()).finish_non_exhaustive()
    }
}

/// The file's path and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct CredentialsRefused {
    pub path: PathBuf,
    #[source]
    pub why: Why,
}

/// Why a credentials file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("cannot read the credentials file: {0}")]
    Read(io::Error),
    #[error("larger than 64 KiB, so not a credentials file")]
    TooLarge,
    // serde_json's own message may quote the text, and with it the key.
    #[error("not a credentials file: no JSON object of strings (line {line}, column {column})")]
    Json { line: usize, column: usize },
    #[error("not a complete credentials file: without {0}")]
    Missing(String),
    #[error("`type` is not \"service_account\": take the file that `portcullis dev` or `portcullis bootstrap` wrote")]
    Type,
    #[error("`private_key`: {0}")]
    Key(#[from] KeyUnreadable),
    #[error("`private_key_id` is not the id of `private_key`, which is {0}: these are parts of two files")]
    Kid(Kid),
    #[error("is there already, and is not overwritten: move it away, or choose another path")]
    Exists,
    #[error("cannot write the credentials file: {0}")]
    Write(io::Error),
}

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

impl Credentials {
    #[must_use]
    pub fn new(account: Account, key: PrivateKey) -> Self {
        Self { account, key }
    }

    /// Reads a credentials file. Warns in the log when others can read it too.
    pub fn read(path: &Path) -> Result<Self, CredentialsRefused> {
        read_text(path)
            .and_then(|text| Self::parse(&text))
            .map_err(|why| CredentialsRefused { path: path.to_owned(), why })
    }

    fn parse(text: &str) -> Result<Self, Why> {
        let fields: Fields =
            serde_json::from_str(text).map_err(|e| Why::Json { line: e.line(), column: e.column() })?;
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
        Ok(Self::new(Account { client_id, client_email, audience, endpoint }, key))
    }

    /// Writes a new file that only its owner can read, durably. An existing file is left
    /// as it is; a file that could not be written whole is removed again.
    pub fn write_new(&self, path: &Path) -> Result<(), CredentialsRefused> {
        self.write(path).map_err(|why| CredentialsRefused { path: path.to_owned(), why })
    }

    fn write(&self, path: &Path) -> Result<(), Why> {
        let text = self.to_json()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| if e.kind() == io::ErrorKind::AlreadyExists { Why::Exists } else { Why::Write(e) })?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path)).map_err(|e| {
            // The error that is told is the first one.
            let _ = fs::remove_file(path);
            Why::Write(e)
        })
    }

    fn to_json(&self) -> Result<Zeroizing<String>, Why> {
        let Account { client_id, client_email, audience, endpoint } = &self.account;
        let pem = self.key.to_pem()?;
        let mut text = Zeroizing::new(
            serde_json::to_string_pretty(&Written {
                r#type: TYPE,
                client_id,
                client_email,
                private_key_id: self.kid().as_str(),
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

    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    #[must_use]
    pub fn kid(&self) -> &Kid {
        self.key.public().kid()
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    pub(super) fn key(&self) -> &PrivateKey {
        &self.key
    }
}

fn required(name: &'static str, value: Option<String>, missing: &mut Vec<&'static str>) -> String {
    let value = value.unwrap_or_default();
    if value.is_empty() {
        missing.push(name);
    }
    value
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, Why> {
    let file = File::open(path).map_err(Why::Read)?;
    let meta = file.metadata().map_err(Why::Read)?;
    if meta.is_file() && meta.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read this credentials file: chmod 600 it");
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(Why::Read)?;
    if read as u64 > MAX_FILE { Err(Why::TooLarge) } else { Ok(text) }
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::{Value, json};

    use super::*;

    static WRITTEN: LazyLock<Value> = LazyLock::new(|| {
        let text = made().to_json().expect("json");
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
        Credentials::parse(&file.to_string())
    }

    fn refusal(read: Result<Credentials, Why>) -> String {
        read.expect_err("refused").to_string()
    }

    #[test]
    fn a_file_written_is_the_owners_alone_and_reads_back() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("admin.json");
        let made = made();
        made.write_new(&path).expect("write");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Credentials::read(&path).expect("read");
        assert_eq!((read.account(), read.kid()), (made.account(), made.kid()));

        let before = fs::read(&path).expect("bytes");
        let again = made.write_new(&path).expect_err("exists");
        assert!(matches!(again.why, Why::Exists), "{again}");
        assert_eq!(fs::read(&path).expect("bytes"), before);
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
            refusal(Credentials::parse(r#"{"client_id": "x", "client_email": ""}"#)),
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
        let whole = refusal(Credentials::parse(&json!(pem).to_string()));
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
