//! Where a webhook may be asked to lead at all; what the operator allows is looked at beyond.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

/// Where a webhook's deliveries go: `https://` or `http://`, a host, and nothing that a
/// request does not carry. Read as browsers read it, so that no other reading of an address
/// gets by what is checked here.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a text is not a [`WebhookUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    #[error("must be a URL such as https://example.com/hooks/portcullis")]
    Malformed,
    #[error("must begin with https://")]
    Scheme,
    #[error("must hold no user name or password: what is signed proves itself")]
    UserInfo,
    #[error("must hold no fragment (#): it is not sent")]
    Fragment,
    #[error("has {0} bytes; at most {limit} are allowed", limit = WebhookUrl::LIMIT)]
    TooLong(usize),
}

impl WebhookUrl {
    pub const LIMIT: usize = 2048;

    pub fn parse(text: &str) -> Result<Self, UrlRefused> {
        if text.len() > Self::LIMIT {
            return Err(UrlRefused::TooLong(text.len()));
        }
        // The parser passes over them; whoever wrote them meant something else.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlRefused::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UrlRefused::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(UrlRefused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') && has_at(text) {
            return Err(UrlRefused::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlRefused::Fragment);
        }
        if url.as_str().len() > Self::LIMIT {
            return Err(UrlRefused::TooLong(url.as_str().len()));
        }
        match (url.host(), url.port()) {
            (None, _) | (_, Some(0)) => Err(UrlRefused::Malformed),
            _ => Ok(Self(url)),
        }
    }

    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The name, or the address as it is written in a URL.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address, where the host is one, in whatever form it was written.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// What stands in a request's `Host`: the port where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether there is an `@` before the path: `https://@example.com` has an empty user name.
fn has_at(text: &str) -> bool {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split(['/', '\\', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

impl fmt::Debug for WebhookUrl {
    /// Without its path: services put secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/..", self.0.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_kept_in_one_form() {
        for (text, kept, authority, path) in [
            ("https://example.com", "https://example.com/", "example.com", "/"),
            ("HTTPS://Example.COM:443/a?b=c", "https://example.com/a?b=c", "example.com", "/a?b=c"),
            (
                "http://example.com:8080/a b".trim_end_matches(" b"),
                "http://example.com:8080/a",
                "example.com:8080",
                "/a",
            ),
            ("https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", "/"),
            ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x", "[2001:db8::1]:8443", "/x"),
            ("https://0x7f.1/", "https://127.0.0.1/", "127.0.0.1", "/"),
            ("https://example.com/a@b", "https://example.com/a@b", "example.com", "/a@b"),
        ] {
            let url = WebhookUrl::parse(text).expect(text);
            assert_eq!(
                (url.as_str(), url.authority().as_str(), url.path_and_query()),
                (kept, authority, path),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_refused_is_told_why() {
        for (text, why) in [
            ("", UrlRefused::Malformed),
            ("example.com/hook", UrlRefused::Malformed),
            ("https://", UrlRefused::Malformed),
            ("https://example.com:0/", UrlRefused::Malformed),
            ("https://example.com/a b", UrlRefused::Malformed),
            ("https://example.com/\r\nX: y", UrlRefused::Malformed),
            ("https://exa\tmple.com/", UrlRefused::Malformed),
            ("ftp://example.com/", UrlRefused::Scheme),
            ("file:///etc/passwd", UrlRefused::Scheme),
            ("gopher://127.0.0.1:25/", UrlRefused::Scheme),
            ("https://user@example.com/", UrlRefused::UserInfo),
            ("https://user:pass@example.com/", UrlRefused::UserInfo),
            ("https://@example.com/", UrlRefused::UserInfo),
            ("https://example.com/#x", UrlRefused::Fragment),
        ] {
            assert_eq!(WebhookUrl::parse(text).expect_err(text), why, "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(WebhookUrl::LIMIT));
        assert!(matches!(WebhookUrl::parse(&long), Err(UrlRefused::TooLong(_))));
    }

    #[test]
    fn its_path_is_not_shown() {
        let url = WebhookUrl::parse("https://hooks.example.com/T0/secret").expect("url");
        assert_eq!(format!("{url:?}"), "https://hooks.example.com/..");
    }

    proptest! {
        #[test]
        fn what_is_kept_reads_back_as_itself(text in "https?://[a-z0-9.@:\\[\\]%-]{1,20}(/[ -~]{0,20})?") {
            if let Ok(url) = WebhookUrl::parse(&text) {
                prop_assert_eq!(WebhookUrl::parse(url.as_str()), Ok(url));
            }
        }
    }
}
