//! Web pages that a key may be used from.

use std::{fmt, str::FromStr};

pub use super::origin::{Origin, OriginMalformed};
use super::origin::{ends_in_a_number, read_name};

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

impl ReferrerRule {
    #[must_use]
    pub fn admits(&self, origin: &Origin) -> bool {
        match self {
            Self::Exact(admitted) => admitted == origin,
            Self::SubDomains(Domain(domain)) => {
                origin.host().strip_suffix(&**domain).is_some_and(|sub| sub.ends_with('.'))
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

impl fmt::Display for ReferrerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => origin.fmt(f),
            Self::SubDomains(Domain(domain)) => write!(f, "*.{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap_or_else(|refused| panic!("{text}: {refused}"))
    }

    fn admits(rule: &str, text: &str) -> bool {
        rule.parse::<ReferrerRule>().expect(rule).admits(&origin(text))
    }

    #[test]
    fn a_rule_is_refused_with_what_would_be_right() {
        use ReferrerRuleMalformed as Refused;
        for text in [
            "*",
            "*.",
            "*.com",
            "*.localhost",
            "*example.com",
            "**.example.com",
            "*.*.example.com",
            "app.*.com",
            "https://*.example.com",
            "https://example.com/*",
            "*.example.com/",
            "*.example.com:443",
            "*.example.com.",
            "*..example.com",
            "*.exämple.com",
            "*.0.0.1",
            "*.example.0x1",
            "*.[::1]",
            "*. example.com",
        ] {
            assert_eq!(text.parse::<ReferrerRule>(), Err(Refused::Wildcard), "{text:?}");
        }
        for (text, refused) in [
            ("", OriginMalformed::Scheme),
            ("example.com", OriginMalformed::Scheme),
            ("null", OriginMalformed::Scheme),
            ("https://u@example.com", OriginMalformed::UserInfo),
            ("https://bücher.example", OriginMalformed::NotPrintable),
            ("https://example.com.", OriginMalformed::Host),
        ] {
            assert_eq!(text.parse::<ReferrerRule>(), Err(Refused::Origin(refused)), "{text:?}");
        }
        for text in ["https://App.example.com/", "https://app.example.com/path", "https://app.example.com:443?q"] {
            let refused = text.parse::<ReferrerRule>().expect_err(text);
            assert!(refused.to_string().ends_with("; did you mean https://app.example.com?"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_rule_admits_its_origin_or_what_is_below_its_domain() {
        let rows = [
            ("https://app.example.com", "https://APP.example.com:443/path", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://a.app.example.com", false),
            ("https://app.example.com", "https://app.example.com.evil.org", false),
            ("http://localhost:8080", "http://localhost:8081", false),
            ("http://[::1]:8080", "http://[0::1]:8080", true),
            ("*.Example.com", "https://app.example.com", true),
            ("*.example.com", "https://a.b.EXAMPLE.com/path", true),
            ("*.example.com", "http://app.example.com:8080", true),
            ("*.example.com", "https://example.com", false),
            ("*.example.com", "https://evilexample.com", false),
            ("*.example.com", "https://example.com.evil.org", false),
            ("*.example.com", "https://evil.org/app.example.com", false),
            ("*.example.com", "https://evil.org?.example.com", false),
            ("*.example.com", "https://evil.org#.example.com", false),
            ("*.example.com", "https://app.example.co", false),
        ];
        for (rule, text, admitted) in rows {
            assert_eq!(admits(rule, text), admitted, "{rule} {text}");
        }
    }

    #[test]
    fn deciding_allocates_nothing() {
        let rules = ["https://a.example.com", "*.example.com"].map(|rule| rule.parse::<ReferrerRule>().expect(rule));
        let origin = origin("https://a.example.com");
        let used = allocation_counter::measure(|| assert!(rules.iter().all(|rule| rule.admits(&origin))));
        assert_eq!(used.count_total, 0);
    }

    /// Labels that are easily taken for each other.
    fn labels() -> impl Strategy<Value = Vec<&'static str>> {
        let label = ["a", "b", "example", "evilexample", "com", "evil-com", "xn--a"];
        proptest::collection::vec(proptest::sample::select(label.to_vec()), 1..5)
    }

    fn port() -> impl Strategy<Value = Option<u16>> {
        proptest::option::of(proptest::sample::select(vec![80, 443, 8080]))
    }

    fn spelled(secure: bool, labels: &[&str], port: Option<u16>) -> String {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{}://{}{port}", if secure { "https" } else { "http" }, labels.join("."))
    }

    proptest! {
        #[test]
        fn a_wildcard_admits_the_hosts_with_more_labels_before_its_own(
            domain in labels(), host in labels(), below: bool, secure: bool, port in port(), path in "(/[a-z.@:]{0,9})?",
        ) {
            prop_assume!(domain.len() >= 2);
            let host = if below { [host, domain.clone()].concat() } else { host };
            let admitted = host.len() > domain.len() && host[host.len() - domain.len()..] == domain[..];
            let rule = format!("*.{}", domain.join("."));
            prop_assert_eq!(admits(&rule, &(spelled(secure, &host, port) + &path)), admitted);
        }

        #[test]
        fn an_exact_rule_admits_one_scheme_host_and_port(
            one in (any::<bool>(), labels(), port()), other in (any::<bool>(), labels(), port()), same_host: bool,
        ) {
            let other = if same_host { (other.0, one.1.clone(), other.2) } else { other };
            let whole = |(secure, host, port): &(bool, Vec<&'static str>, Option<u16>)| {
                (*secure, host.clone(), port.unwrap_or(if *secure { 443 } else { 80 }))
            };
            let (rule, text) = (spelled(one.0, &one.1, one.2), spelled(other.0, &other.1, other.2));
            prop_assert_eq!(admits(&rule, &text.to_ascii_uppercase()), whole(&one) == whole(&other));
        }

        #[test]
        fn rules_are_refused_or_read_back(text in "(\\*\\.|https?://)?[aZ0.:*/-]{0,9}|\\PC{0,40}") {
            if let Ok(rule) = text.parse::<ReferrerRule>() {
                prop_assert_eq!(rule.to_string().parse(), Ok(rule));
            }
        }
    }
}
