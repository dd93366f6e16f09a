use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    chain::{Anchor, Head, hex},
    client::{Credentials, SigningFailed, fresh},
    signing::{PublicKey, SignedCheckpoint},
};

const TYPE: &str = "portcullis_audit_checkpoint";
/// Ours are below 1 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// What somebody signed about the end of an audit log, as it is kept in a file. Nothing in it is
/// a secret. What it says counts only once its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    r#type: String,
    audience: String,
    log_id: String,
    seq: i64,
    /// In lowercase hex.
    hash: String,
    /// RFC 3339, by the clock of whoever signed.
    time: String,
    kid: String,
    /// Standard base64.
    signature: String,
}

/// The file's path and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct CheckpointRefused {
    pub path: PathBuf,
    pub why: WhyNot,
}

/// Why a checkpoint could not be read, believed or written.
#[derive(Debug, thiserror::Error)]
pub enum WhyNot {
    #[error("cannot read the checkpoint: {0}")]
    Read(io::Error),
    #[error("not a checkpoint: give a file that `portcullis audit checkpoint` wrote")]
    NotOne,
    #[error("was signed by the key {0}: give that key's public half with --public-key FILE")]
    UnknownKey(String),
    #[error("its signature does not verify: the checkpoint was changed, and proves nothing; take another copy of it")]
    Signature,
    #[error("is there already, and is not overwritten: choose another path")]
    Exists,
    #[error("cannot write the checkpoint: {0}")]
    Write(io::Error),
    #[error(transparent)]
    Signing(#[from] SigningFailed),
}

impl WhyNot {
    /// With the file's path.
    #[must_use]
    pub fn at(self, path: &Path) -> CheckpointRefused {
        CheckpointRefused { path: path.to_owned(), why: self }
    }
}

impl Checkpoint {
    /// Signs the end of a log that was verified.
    pub fn sign(credentials: &Credentials, head: &Head) -> Result<Self, WhyNot> {
        let seconds = u64::try_from(fresh::unix_seconds()?).map_err(|_| SigningFailed::Clock)?;
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
        let mut checkpoint = Self {
            r#type: TYPE.to_owned(),
            audience: credentials.account().audience.clone(),
            log_id: head.log_id.clone(),
            seq: head.seq,
            hash: hex(&head.hash),
            time: time.to_string(),
            kid: credentials.kid().to_string(),
            signature: String::new(),
        };
        let signature = credentials.key().sign(checkpoint.text().as_bytes()).map_err(SigningFailed::from)?;
        checkpoint.signature = BASE64_STANDARD.encode(signature);
        Ok(checkpoint)
    }

    /// Reads a file; its signature is not checked yet.
    pub fn read(path: &Path) -> Result<Self, CheckpointRefused> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        read.map_err(|error| WhyNot::Read(error).at(path))?;
        Self::parse(&text).ok_or_else(|| WhyNot::NotOne.at(path))
    }

    fn parse(text: &str) -> Option<Self> {
        let checkpoint: Self = serde_json::from_str(text).ok()?;
        // A line in a field could be another field of another checkpoint.
        let texts = [&checkpoint.audience, &checkpoint.log_id, &checkpoint.hash, &checkpoint.time, &checkpoint.kid];
        let is_plain = texts.iter().all(|text| !text.is_empty() && !text.contains(char::is_control));
        (checkpoint.r#type == TYPE && is_plain && checkpoint.seq > 0 && bytes(&checkpoint.hash).is_some())
            .then_some(checkpoint)
    }

    /// What it says, if one of `keys` signed it.
    pub fn anchor(&self, name: &str, keys: &[PublicKey]) -> Result<Anchor, WhyNot> {
        let key = keys.iter().find(|key| key.kid().as_str() == self.kid);
        let key = key.ok_or_else(|| WhyNot::UnknownKey(self.kid.clone()))?;
        let signature = BASE64_STANDARD.decode(&self.signature).map_err(|_| WhyNot::Signature)?;
        if !key.verify(self.text().as_bytes(), &signature) {
            return Err(WhyNot::Signature);
        }
        let hash = bytes(&self.hash).ok_or(WhyNot::NotOne)?;
        Ok(Anchor { name: name.to_owned(), log_id: self.log_id.clone(), seq: self.seq, hash })
    }

    /// Writes a new file, durably. An existing one is left as it is.
    pub fn write_new(&self, path: &Path) -> Result<(), CheckpointRefused> {
        self.write(path).map_err(|why| why.at(path))
    }

    fn write(&self, path: &Path) -> Result<(), WhyNot> {
        let text = serde_json::to_string_pretty(self).map_err(|error| WhyNot::Write(error.into()))? + "\n";
        let exists = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => WhyNot::Exists,
            _ => WhyNot::Write(error),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(exists)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
            // The error that is told is the first one.
            let _ = fs::remove_file(path);
            WhyNot::Write(error)
        })
    }

    /// When it was signed, by whoever signed it.
    #[must_use]
    pub fn time(&self) -> &str {
        &self.time
    }

    fn text(&self) -> String {
        let Self { audience, log_id, hash, time, kid, .. } = self;
        SignedCheckpoint { audience, log_id, seq: self.seq, hash, time, kid }.text()
    }
}

/// 32 bytes of lowercase hex.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    if is_hex { (0..64).step_by(2).map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::{client::signer::tests::credentials, signing::PrivateKey};

    static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(credentials);

    fn keys() -> [PublicKey; 1] {
        [CREDENTIALS.public_key().clone()]
    }

    fn made() -> (Checkpoint, Head) {
        let head = Head { log_id: "log".to_owned(), seq: 7, hash: (0..32).collect(), loose: 0 };
        (Checkpoint::sign(&CREDENTIALS, &head).expect("sign"), head)
    }

    #[test]
    fn what_is_written_reads_back_and_verifies_and_is_not_overwritten() {
        let (folder, (made, head)) = (tempfile::tempdir().expect("folder"), made());
        let path = folder.path().join("checkpoint.json");
        made.write_new(&path).expect("write");
        let read = Checkpoint::read(&path).expect("read");
        assert_eq!(read, made);
        let anchor = read.anchor("c", &keys()).expect("verifies");
        assert_eq!(anchor, Anchor { name: "c".to_owned(), log_id: head.log_id, seq: 7, hash: head.hash });
        assert!(matches!(made.write_new(&path), Err(CheckpointRefused { why: WhyNot::Exists, .. })));
    }

    #[test]
    fn a_change_of_any_field_is_found() {
        let made = serde_json::to_value(made().0).expect("JSON");
        for (field, value) in made.as_object().expect("an object") {
            let mut bent = made.clone();
            bent[field] = match value {
                serde_json::Value::Number(seq) => (seq.as_i64().expect("a number") + 1).into(),
                other => {
                    let text = other.as_str().expect("a text");
                    let last = if text.ends_with('0') { "1" } else { "0" };
                    format!("{}{last}", &text[..text.len() - 1]).into()
                }
            };
            let holds = Checkpoint::parse(&bent.to_string()).is_some_and(|bent| bent.anchor("c", &keys()).is_ok());
            assert!(!holds, "{field}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let made = serde_json::to_value(made().0).expect("JSON");
        let with = |field: &str, value: serde_json::Value| {
            let mut bent = made.clone();
            bent[field] = value;
            Checkpoint::parse(&bent.to_string()).is_none()
        };
        assert!(!with("audience", "other".into()), "it reads; its signature tells");
        assert!(with("audience", "a\nb".into()) && with("hash", "AB".repeat(32).into()) && with("hash", "é".into()));
        assert!(with("seq", 0.into()) && with("seq", "7".into()) && with("more", 1.into()) && with("type", "x".into()));
        assert!(Checkpoint::parse("").is_none());
    }

    #[test]
    fn another_key_is_named() {
        let other = PrivateKey::generate().expect("generate");
        let refused = made().0.anchor("c", &[other.public().clone()]).expect_err("another key").to_string();
        assert!(refused.contains(CREDENTIALS.kid().as_str()) && refused.contains("--public-key"), "{refused}");
    }
}
