//! Who calls, and with which key. The file they are kept in: `shape` is its JSON,
//! `file` the disk.

mod file;
mod shape;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::signing::{KeyUnreadable, Kid, PrivateKey, PublicKey};

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

impl Credentials {
    #[must_use]
    pub fn new(account: Account, key: PrivateKey) -> Self {
        Self { account, key }
    }

    /// Reads a credentials file. Warns in the log when others can read it too.
    pub fn read(path: &Path) -> Result<Self, CredentialsRefused> {
        file::read(path)
            .and_then(|text| shape::parse(&text))
            .map_err(|why| CredentialsRefused { path: path.to_owned(), why })
    }

    /// Writes a new file that only its owner can read, durably. An existing file is left
    /// as it is; a file that could not be written whole is removed again.
    pub fn write_new(&self, path: &Path) -> Result<(), CredentialsRefused> {
        shape::print(self)
            .and_then(|text| file::write_new(path, &text))
            .map_err(|why| CredentialsRefused { path: path.to_owned(), why })
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
