//! Client certificates: what one says of its holder, and the names that accounts are known by.

use std::{fmt, str::FromStr, sync::Arc};

use super::time::Timestamp;

/// A name in a certificate: a URI such as `spiffe://example.org/gateway`, byte for byte, or a DNS
/// name in small letters. A text is never both: a DNS name holds no `://`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateName(Arc<str>);

/// How many an account may have: enough to move from one to another, few enough to review.
pub const MAX_CERTIFICATE_NAMES: usize = 16;

/// Why a text is not the name of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateNameRefused {
    #[error("is longer than {} characters", CertificateName::LIMIT)]
    TooLong,
    #[error("is not a URI of visible ASCII such as spiffe://example.org/gateway")]
    NotUri,
    #[error(
        "is neither a URI such as spiffe://example.org/gateway nor a DNS name in small letters such as gateway.example.org, without wildcard"
    )]
    NotDns,
}

impl CertificateName {
    pub const LIMIT: usize = 512;

    /// A `uniformResourceIdentifier` of a certificate.
    pub fn uri(text: &str) -> Result<Self, CertificateNameRefused> {
        let parts = text.split_once("://").filter(|(scheme, rest)| {
            let mut letters = scheme.bytes();
            letters.next().is_some_and(|first| first.is_ascii_alphabetic())
                && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
                && !rest.is_empty()
        });
        if text.len() > Self::LIMIT {
            return Err(CertificateNameRefused::TooLong);
        }
        if parts.is_none() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CertificateNameRefused::NotUri);
        }
        Ok(Self(text.into()))
    }

    /// A `dNSName`, already in small letters.
    pub fn dns(text: &str) -> Result<Self, CertificateNameRefused> {
        let is_label = |label: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() > 253 || !text.split('.').all(is_label) {
            return Err(CertificateNameRefused::NotDns);
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateName {
    type Err = CertificateNameRefused;

    fn from_str(text: &str) -> Result<Self, CertificateNameRefused> {
        if text.contains("://") { Self::uri(text) } else { Self::dns(text) }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a certificate says whose holder has proven to have its key, and that an authority of the
/// operator's choice has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Those that an account could have.
    pub names: Vec<CertificateName>,
    pub end_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_and_dns_names_and_nothing_else() {
        for good in [
            "spiffe://example.org/ns/prod/sa/gateway",
            "https://gateway.example.org:8443/a?b",
            "gateway.example.org",
            "gateway",
            "a-1.b2",
        ] {
            assert_eq!(good.parse::<CertificateName>().expect(good).as_str(), good);
        }
        for bad in [
            "",
            ".",
            "a..b",
            "*.example.org",
            "Gateway.example.org",
            "-a.example.org",
            "a_b",
            "spiffe:/x",
            "://x",
            "1x://y",
            "spiffe://",
            "spiffe://a b",
            "spiffe://é",
            "a\n",
            "gateway.example.org.",
        ] {
            assert!(bad.parse::<CertificateName>().is_err(), "{bad:?}");
        }
        assert!(format!("spiffe://{}", "a".repeat(503)).parse::<CertificateName>().is_ok());
        let long = format!("spiffe://{}", "a".repeat(504));
        assert_eq!(long.parse::<CertificateName>(), Err(CertificateNameRefused::TooLong));
    }

    /// What a URI in a certificate says is never taken for a DNS name of an account, or the other
    /// way round.
    #[test]
    fn a_name_of_one_kind_is_not_one_of_the_other() {
        assert!(CertificateName::uri("gateway.example.org").is_err());
        assert!(CertificateName::dns("spiffe://example.org/gateway").is_err());
    }
}
