//! Web pages that a key may be used from.
//!
//! A reader of our own, stricter than the one in a browser: that one repairs what it is
//! given (`\` to `/`, tabs dropped, `0x7f.1` to an address), and a repair may turn a
//! refused host into an admitted one.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// What a request came from: a scheme, a host and a port (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    /// In lower case; an IPv6 address in brackets, in its shortest form.
    host: Box<str>,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

/// Which origins a key admits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReferrerRule {
    /// `https://app.example.com`, `http://localhost:8080`: scheme, host and port.
    Exact(Origin),
    /// `*.example.com`: each host below the domain, at any depth, over http and https,
    /// at any port, but not `example.com` itself. The domain is kept without its `*.`.
    /// It has two labels or more; whether others may register names below it
    /// (`*.co.uk`) is not known here.
    SubDomains(Domain),
}

/// A host name of two labels or more, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Domain(Box<str>);

/// Why a text is not an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginMalformed {
    #[error("has {found} bytes; at most {} are allowed", Origin::LIMIT)]
    TooLong { found: usize },
    #[error("must be printable ASCII without spaces; a host of other letters is written in punycode (xn--…)")]
    NotPrintable,
    #[error("must start with http:// or https:// (`null` is no origin)")]
    Scheme,
    #[error("must not hold a user name or password: leave out what is before the `@`")]
    UserInfo,
    #[error("must have a host name, an IPv4 address or an IPv6 address in brackets, without a dot at its end")]
    Host,
    #[error("must have a port of 1 to 65535 behind the `:`, or neither")]
    Port,
}

/// Why a text is not a [`ReferrerRule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferrerRuleMalformed {
    #[error(transparent)]
    Origin(#[from] OriginMalformed),
    #[error("must not have a path, query or fragment; did you mean {origin}?")]
    Path { origin: Origin },
    #[error("has a `*` other than `*.` before a domain of two labels or more, like *.example.com")]
    Wildcard,
}

impl Origin {
    /// Of the text that it is read from, in bytes.
    pub const LIMIT: usize = 2048;

    /// Reads an `Origin` header or a whole `Referer`, whose path, query and fragment are dropped.
    pub fn parse(text: &str) -> Result<Self, OriginMalformed> {
        Self::split(text).map(|(origin, _)| origin)
    }

    /// The origin, and what stands behind it.
    fn split(text: &str) -> Result<(Self, &str), OriginMalformed> {
        if text.len() > Self::LIMIT {
            return Err(OriginMalformed::TooLong { found: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OriginMalformed::NotPrintable);
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginMalformed::Scheme)?;
        let scheme = Scheme::parse(scheme).ok_or(OriginMalformed::Scheme)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(OriginMalformed::UserInfo);
        }
        let name_at = authority.rfind(']').unwrap_or(0); // the colons of an IPv6 address come before
        let (host, port) = match authority[name_at..].find(':') {
            Some(colon) => {
                let port = read_port(&authority[name_at + colon + 1..]).ok_or(OriginMalformed::Port)?;
                (&authority[..name_at + colon], port)
            }
            None => (authority, scheme.default_port()),
        };
        let host = read_host(host).ok_or(OriginMalformed::Host)?;
        Ok((Self { scheme, host, port }, rest))
    }
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

fn read_port(text: &str) -> Option<u16> {
    let fits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| fits)
}

fn read_host(text: &str) -> Option<Box<str>> {
    if let Some(address) = text.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]").into());
    }
    if ends_in_a_number(text) {
        let address: Ipv4Addr = text.parse().ok()?;
        return Some(address.to_string().into());
    }
    read_name(text)
}

/// A browser takes such a host for an IPv4 address in one of many forms (`0x7f.1`).
fn ends_in_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Labels of 1 to 63, 253 in all. `_` is in no host name of the standards, but in the wild.
fn read_name(text: &str) -> Option<Box<str>> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (text.len() <= 253 && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase().into())
}

impl ReferrerRule {
    #[must_use]
    pub fn admits(&self, origin: &Origin) -> bool {
        match self {
            Self::Exact(admitted) => admitted == origin,
            Self::SubDomains(Domain(domain)) => {
                origin.host.strip_suffix(&**domain).is_some_and(|sub| sub.ends_with('.'))
            }
        }
    }
}

impl FromStr for ReferrerRule {
    type Err = ReferrerRuleMalformed;

    fn from_str(text: &str) -> Result<Self, ReferrerRuleMalformed> {
        if text.contains('*') {
            let domain = text.strip_prefix("*.").filter(|domain| domain.contains('.') && !ends_in_a_number(domain));
            let domain = domain.and_then(read_name).ok_or(ReferrerRuleMalformed::Wildcard)?;
            return Ok(Self::SubDomains(Domain(domain)));
        }
        match Origin::split(text)? {
            (origin, "") => Ok(Self::Exact(origin)),
            (origin, _) => Err(ReferrerRuleMalformed::Path { origin }),
        }
    }
}

impl fmt::Display for Origin {
    /// Without the port that its scheme implies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Display for ReferrerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => origin.fmt(f),
            Self::SubDomains(Domain(domain)) => write!(f, "*.{domain}"),
        }
    }
}
