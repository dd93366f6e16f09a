use std::{fmt, str::FromStr};

use super::text::is_invisible;

/// A mailbox's address, as far as it must be right to write to it: one `@`, a domain with a
/// dot, and nothing that could end a header.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(Box<str>);

/// Not of the form of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an e-mail address such as keys@example.com, of at most 254 characters")]
pub struct NotAnAddress;

/// How many an application may name.
pub const MAX_EMAILS: usize = 10;
/// RFC 5321, 4.5.3.1: a path is at most 256 octets with its angle brackets.
const MAX: usize = 254;

impl EmailAddress {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (local, domain) = text.split_once('@').ok_or(NotAnAddress)?;
        let plain = |c: char| !c.is_whitespace() && !is_invisible(c) && !"@<>()[],;:\\\"".contains(c);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let fits = text.len() <= MAX
            && !local.is_empty()
            && local.len() <= 64
            && local.is_ascii()
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(plain)
            && domain.contains('.')
            && domain.split('.').all(is_label);
        if fits { Ok(Self(text.into())) } else { Err(NotAnAddress) }
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_what_is_none() {
        for good in ["a@example.com", "first.last+tag@mail.example.co.uk", "o'brien@xn--bcher-kva.example"] {
            assert_eq!(good.parse::<EmailAddress>().map(|address| address.to_string()), Ok(good.to_owned()));
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "@",
            "a@",
            "@example.com",
            "a@b",
            "a@@example.com",
            "a b@example.com",
            "a@exa mple.com",
            "a@.com",
            "a@example..com",
            "a@-a.com",
            ".a@example.com",
            "a..b@example.com",
            "a\r\nBcc: b@example.com",
            "Name <a@example.com>",
            "a@example.com,b@example.com",
            "a@[127.0.0.1]",
            "ä@example.com",
            &long,
        ] {
            assert_eq!(bad.parse::<EmailAddress>(), Err(NotAnAddress), "{bad:?}");
        }
    }
}
