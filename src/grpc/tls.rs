//! TLS: which certificates are shown and asked for, read anew while the server runs.

mod authorities;
mod certificate;
mod in_use;
mod own;
mod read;
mod reload;
mod remark;
mod said;

use std::{path::PathBuf, time::Duration};

pub(super) use certificate::client_certificate;
pub(super) use in_use::Handshake;
pub(super) use reload::Certificates;
pub use remark::TlsRemark;

use crate::domain::time::Timestamp;

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's own certificate, and those between it and an authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who may sign certificates of clients. Without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without one is refused at the handshake.
    pub client_required: bool,
    /// How often to look whether the files have changed.
    pub look_every: Duration,
}

impl Tls {
    /// Three small files: cheap, and sooner than anybody waits for.
    pub const LOOK_EVERY: Duration = Duration::from_secs(5);
}

/// Why certificates are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsRefused {
    #[error("cannot read {path}: {error}; {flag} must name a file that the server may read")]
    Unreadable { flag: &'static str, path: String, error: String },
    #[error("{path} holds no certificate in PEM{hint}; {flag} wants `-----BEGIN CERTIFICATE-----` and what follows")]
    NoCertificate { flag: &'static str, path: String, hint: &'static str },
    #[error("{path} holds no private key that can be used{hint}; --tls-key wants one in PEM, not encrypted")]
    NoKey { path: String, hint: &'static str },
    #[error("a certificate in {path} does not read: {what}; get the file anew for {flag}")]
    Malformed { flag: &'static str, path: String, what: String },
    #[error(
        "the key in {key} is not the key of the first certificate in {certificate}: renew them together, and put the server's own certificate first in the chain"
    )]
    Unfit { certificate: String, key: String },
    #[error("the certificate in {path} ended at {end_time}; renew it")]
    Ended { path: String, end_time: Timestamp },
    #[error("the certificate in {path} is not good before {begin_time}; set the clock, or wait")]
    NotYet { path: String, begin_time: Timestamp },
    #[error(
        "the certificate in {path} holds no name that callers could know the server by, and its subject is none: have it made with a subject alternative name for each DNS name or IP address that they call, such as `-addext subjectAltName=DNS:portcullis.example.com`"
    )]
    Nameless { path: String },
    #[error(
        "\"{subject}\" in {path} is not the certificate of an authority (it does not say CA:TRUE), and whoever has its key could make a certificate of any name: give --tls-client-ca the authority that signed it"
    )]
    NoAuthority { path: String, subject: String },
    #[error("the certificate or its key is not usable: {0}")]
    Unusable(String),
    #[error("no authority in {path} is usable: {what}; --tls-client-ca wants certificates of authorities")]
    ClientCa { path: String, what: String },
}
