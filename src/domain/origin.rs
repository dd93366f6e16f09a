//! What a request came from, as its `Origin` or `Referer` states it.
//!
//! A reader of our own, stricter than the one in a browser: that one repairs what it is
//! given (`\` to `/`, tabs dropped, `0x7f.1` to an address), and a repair may turn a
//! refused host into an admitted one.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
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

impl Origin {
    /// Of the text that it is read from, in bytes.
    pub const LIMIT: usize = 4096;

    /// Reads an `Origin` header or a whole `Referer`, whose path, query and fragment are dropped.
    pub fn parse(text: &str) -> Result<Self, OriginMalformed> {
        Self::split(text).map(|(origin, _)| origin)
    }

    /// In lower case, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The origin, and what stands behind it.
    pub(super) fn split(text: &str) -> Result<(Self, &str), OriginMalformed> {
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
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let host = read_host(host).ok_or(OriginMalformed::Host)?;
        let port = port.map_or(Some(scheme.default_port()), read_port).ok_or(OriginMalformed::Port)?;
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
pub(super) fn ends_in_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Labels of 1 to 63, 253 in all. `_` is in no host name of the standards, but in the wild.
pub(super) fn read_name(text: &str) -> Option<Box<str>> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (text.len() <= 253 && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase().into())
}

impl fmt::Display for Origin {
    /// Without the port that its scheme implies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap_or_else(|refused| panic!("{text}: {refused}"))
    }

    #[test]
    fn an_origin_is_read_from_either_header_and_shown_in_one_form() {
        for (text, shown) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.COM:443/Path?q=\\#f", "https://app.example.com"),
            ("http://app.example.com:80", "http://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("https://app.example.com/@user:pass@evil.org", "https://app.example.com"),
            ("https://app.example.com?to=https://evil.org", "https://app.example.com"),
            ("https://app.example.com#@evil.org", "https://app.example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://127.0.0.1:65535/", "http://127.0.0.1:65535"),
            ("http://[0:0::1]:8080/", "http://[::1]:8080"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://a_b.-c.r3---sn.example", "https://a_b.-c.r3---sn.example"),
        ] {
            assert_eq!(origin(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_would_be_right() {
        use OriginMalformed as Refused;
        let long = format!("https://a.example/{}", "a".repeat(Origin::LIMIT));
        let label = format!("https://{}.example", "a".repeat(64));
        let name = format!("https://{}example", "a.".repeat(124));
        for (refused, texts) in [
            (Refused::TooLong { found: long.len() }, &[&*long][..]),
            (
                Refused::NotPrintable,
                &[
                    " https://a.example",
                    "https://a.example\n",
                    "https://a\t.example",
                    "https://a.example\0.b.example",
                    "https://a.example/a b",
                    "https://bücher.example",
                    "https://a.example\u{3002}b.example",
                    "https://a.example\u{202e}",
                    "https://ａ.example",
                    "https://a.example https://b.example",
                ],
            ),
            (
                Refused::Scheme,
                &[
                    "",
                    "null",
                    "a.example",
                    "//a.example",
                    "https:/a.example",
                    "https:\\\\a.example",
                    "://a.example",
                    "ftp://a.example",
                    "httpss://a.example",
                ],
            ),
            (
                Refused::UserInfo,
                &["https://app.example.com@evil.org", "https://@a.example", "https://evil.org\\@a.example"],
            ),
            (
                Refused::Host,
                &[
                    "https://",
                    "https:///a.example",
                    "https://:443",
                    "https://a.example.",
                    "https://.a.example",
                    "https://a..example",
                    "https://evil.org\\.a.example",
                    "https://a.example\\evil.org",
                    "https://a%2eexample",
                    "https://a,b.example",
                    "https://*.a.example",
                    "https://[::1",
                    "https://::1",
                    "https://[::1]a:80",
                    "https://a.example:443:443",
                    "https://[fe80::1%25eth0]",
                    "https://[127.0.0.1]",
                    "https://127.1",
                    "https://0x7f.1",
                    "https://0177.0.0.1",
                    "https://2130706433",
                    "https://256.0.0.1",
                    "https://a.1",
                    &label,
                    &name,
                ],
            ),
            (
                Refused::Port,
                &[
                    "https://a.example:",
                    "https://a.example:0",
                    "https://a.example:65536",
                    "https://a.example:0443",
                    "https://a.example:+443",
                    "https://[::1]:",
                    "https://a.example:/443",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(Origin::parse(text), Err(refused), "{text:?}");
            }
        }
    }

    /// Origins, and the tricks that make one host look like another.
    const TRICKY: &str = concat!(
        r"(https?|HTTPS?)(://|://|://|:/|:\\\\)(|||u@|u:p@)",
        r"((([a-zA-Z0-9_-]{1,3}|127|0|1|xn--a|0x7f)\.|){3}(com|EXAMPLE|a1|0|1|0x1|%2ecom|com\.)|\[[01:F]?::[01F]{1,3}\])",
        r"(||:80|:443|:8080|:0|:0443|:)([/?#][a.:@/\\?#]{0,6}|[\\@;]com|||)",
    );

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))] // both readers accept one in ten

        /// Stricter than a browser, but never of another opinion.
        #[test]
        fn an_origin_is_what_a_browser_takes_it_for(text in TRICKY) {
            if let (Ok(ours), Ok(url)) = (Origin::parse(&text), url::Url::parse(&text)) {
                prop_assert_eq!(ours.to_string(), url.origin().ascii_serialization(), "{:?}", text);
            }
        }

        #[test]
        fn origins_read_back(text in TRICKY) {
            if let Ok(origin) = Origin::parse(&text) {
                prop_assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
            }
        }

        #[test]
        fn junk_does_not_panic(text in "\\PC{0,60}") {
            let _ = Origin::parse(&text);
        }
    }
}
