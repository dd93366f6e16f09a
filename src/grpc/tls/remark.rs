use crate::domain::time::Timestamp;

/// What is taken, and will not do for everybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsRemark {
    /// OpenSSL and Go take it where it is among what they trust; rustls does not (`CaUsedAsEndEntity`), nor do the
    /// commands here.
    #[error(
        "the certificate in {path} is an authority's (CA:TRUE), which some callers refuse as a server's own, `portcullis` among them"
    )]
    OwnIsAuthority { path: String },
    /// An end of a trust anchor is looked at by nobody.
    #[error("the authority \"{subject}\" in {path} ended at {end_time}, and its clients are let in all the same")]
    AuthorityEnded { path: String, subject: String, end_time: Timestamp },
}

impl TlsRemark {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::OwnIsAuthority { .. } => "show one that it has signed, or one made with CA:FALSE",
            Self::AuthorityEnded { .. } => "put its successor beside it, renew the clients, then take it out",
        }
    }
}
