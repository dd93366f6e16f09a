//! What a key may be used for.
//!
//! A resource is an opaque text: compared byte by byte, never normalised. Whoever serves
//! it may take it for a path, though, and then `files/../secret` would pass a rule
//! `files/*`; so a text with a `.` or `..` segment, however it is encoded, is refused.
//! Empty segments are not: they lead nowhere else, and `s3://bucket/object` has one.

use std::{fmt, str::FromStr};

use super::text::is_invisible;

/// What a request is for: 1 to 512 bytes, without `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource(Box<str>);

/// Which resources a key admits: one, by its exact text; those that start with the text
/// before a `*` at the end (`files/*`); or all, by `*`. At most 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceRule(Box<str>);

/// Why a text is not a [`Resource`] or a [`ResourceRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResourceMalformed {
    #[error("must not be empty")]
    Empty,
    #[error("has {found} bytes; at most {} are allowed", Resource::LIMIT)]
    TooLong { found: usize },
    #[error("must not hold control or text-direction characters")]
    Invisible,
    #[error("must not hold `.` or `..` as a segment of a path, encoded or not")]
    DotSegment,
    #[error("must not hold a `*`: a request is for one resource")]
    NotOne,
    #[error("may hold one `*`, at its end")]
    Wildcard,
}

impl Resource {
    /// In bytes.
    pub const LIMIT: usize = 512;

    pub fn parse(text: &str) -> Result<Self, ResourceMalformed> {
        check(text)?;
        if text.contains('*') {
            return Err(ResourceMalformed::NotOne);
        }
        if has_dot_segment(text) {
            return Err(ResourceMalformed::DotSegment);
        }
        Ok(Self(text.into()))
    }
}

impl ResourceRule {
    #[must_use]
    pub fn admits(&self, resource: &Resource) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => resource.0.starts_with(prefix),
            None => self.0 == resource.0,
        }
    }
}

impl FromStr for ResourceRule {
    type Err = ResourceMalformed;

    fn from_str(text: &str) -> Result<Self, ResourceMalformed> {
        check(text)?;
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            return Err(ResourceMalformed::Wildcard);
        }
        // A `*` ends no segment: `files/.*` is for the names that start with a dot.
        if has_dot_segment(text) {
            return Err(ResourceMalformed::DotSegment);
        }
        Ok(Self(text.into()))
    }
}

fn check(text: &str) -> Result<(), ResourceMalformed> {
    match text.len() {
        0 => Err(ResourceMalformed::Empty),
        found if found > Resource::LIMIT => Err(ResourceMalformed::TooLong { found }),
        _ if text.chars().any(is_invisible) => Err(ResourceMalformed::Invisible),
        _ => Ok(()),
    }
}

fn has_dot_segment(text: &str) -> bool {
    // How many dots there are since the last boundary; `None` behind any other byte.
    let mut dots = Some(0_usize);
    for byte in decoded(text).into_iter().chain([b'/']) {
        dots = match (byte, dots) {
            (b'.', dots) => dots.map(|dots| dots + 1),
            (byte, Some(1 | 2)) if is_boundary(byte) => return true,
            (byte, _) => is_boundary(byte).then_some(0),
        };
    }
    false
}

/// Where one server or another ends a segment: `files/..;a/secret` is a known way out.
fn is_boundary(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b';' | b'?' | b'#') || byte.is_ascii_control()
}

/// With each `%XX` decoded, those that decoding brings forth too (`%252e`, `%25%32%65`).
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        bytes.push(byte);
        while let Some((start, code)) = last_escape(&bytes) {
            bytes.truncate(start);
            bytes.push(code);
        }
    }
    bytes
}

fn last_escape(bytes: &[u8]) -> Option<(usize, u8)> {
    let (rest, &[b'%', high, low]) = bytes.split_last_chunk()? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let code = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    Some((rest.len(), code))
}

impl fmt::Display for ResourceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(rule: &str, resource: &str) -> bool {
        rule.parse::<ResourceRule>().expect(rule).admits(&Resource::parse(resource).expect(resource))
    }

    #[test]
    fn a_rule_is_one_resource_or_what_starts_alike() {
        for (rule, resource, admitted) in [
            ("files/a", "files/a", true),
            ("files/a", "files/ab", false),
            ("files/a", "files/", false),
            ("files/a", "Files/a", false),
            ("files/a", "files/a/", false),
            ("files/a b", "files/a%20b", false),
            ("files/*", "files/a", true),
            ("files/*", "files/", true),
            ("files/*", "files", false),
            ("files/*", "files2/a", false),
            ("files/*", "/files/a", false),
            ("files/*", "FILES/a", false),
            ("files/.*", "files/.profile", true),
            ("é*", "école", true),
            ("é*", "e\u{301}cole", false),
            ("s3://bucket/*", "s3://bucket/object", true),
            ("*", "s3://anything", true),
        ] {
            assert_eq!(admits(rule, resource), admitted, "{rule} {resource}");
        }
    }

    #[test]
    fn a_resource_that_may_lead_out_of_its_folder_is_refused() {
        for text in [
            "..",
            ".",
            "files/../secret",
            "files/..",
            "files/./a",
            "../secret",
            "files/..\\secret",
            "files\\..\\secret",
            "files/%2e%2e/secret",
            "files/.%2E/secret",
            "files/..%2fsecret",
            "files/..%5Csecret",
            "files%2f..%2fsecret",
            "files/%252e%252e/secret",
            "files/%25%32%65%25%32%65/secret",
            "files/%%32%65./secret",
            "files/..;a=b/secret",
            "files/..%3b/secret",
            "files/..%00/secret",
            "files/..?a",
            "files/..#a",
        ] {
            assert_eq!(Resource::parse(text), Err(ResourceMalformed::DotSegment), "{text}");
            assert_eq!(text.parse::<ResourceRule>(), Err(ResourceMalformed::DotSegment), "{text}");
        }
        for text in [
            "files/...",
            "files/.profile",
            "files/a..b",
            "v1.2",
            "a..",
            "100%",
            "%zz/%2",
            "urn:isbn:0",
            "a//b",
            "/",
            "%c3%a9",
        ] {
            assert!(Resource::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn texts_are_bounded_and_show_what_they_are() {
        let long = "é".repeat(256);
        assert!(Resource::parse(&long).is_ok());
        assert_eq!(Resource::parse(&format!("{long}a")), Err(ResourceMalformed::TooLong { found: 513 }));
        assert_eq!(format!("{long}*").parse::<ResourceRule>(), Err(ResourceMalformed::TooLong { found: 513 }));
        assert_eq!(Resource::parse(""), Err(ResourceMalformed::Empty));
        assert_eq!("".parse::<ResourceRule>(), Err(ResourceMalformed::Empty));
        for text in ["a\0", "a\nb", "\u{7f}", "a\u{202e}b", "a\u{200b}"] {
            assert_eq!(Resource::parse(text), Err(ResourceMalformed::Invisible), "{text:?}");
            assert_eq!(text.parse::<ResourceRule>(), Err(ResourceMalformed::Invisible), "{text:?}");
        }
        for text in ["*", "files/*", "*a", "a*b"] {
            assert_eq!(Resource::parse(text), Err(ResourceMalformed::NotOne), "{text}");
        }
        for text in ["**", "*a", "a*b", "a*b*", "files/**"] {
            assert_eq!(text.parse::<ResourceRule>(), Err(ResourceMalformed::Wildcard), "{text}");
        }
    }

    /// Each segment that a server could see, after 0 to 3 rounds of decoding.
    fn leads_elsewhere(text: &str) -> bool {
        let decode = |text: &[u8]| {
            let mut out = Vec::new();
            let mut at = 0;
            while at < text.len() {
                let code = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
                let code = code.filter(|code| code.iter().all(u8::is_ascii_hexdigit));
                let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
                out.push(code.unwrap_or(text[at]));
                at += if code.is_some() { 3 } else { 1 };
            }
            out
        };
        let mut text = text.as_bytes().to_vec();
        for _ in 0..4 {
            if text.split(|byte| b"/\\;?#".contains(byte)).any(|segment| matches!(segment, b"." | b"..")) {
                return true;
            }
            text = decode(&text);
        }
        false
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = ["a", "b", ".", "..", "/", "\\", ";", "%2e", "%2F", "%25", "%", "2e", "%32", "%65", "é"];
        proptest::collection::vec(proptest::sample::select(piece.to_vec()), 1..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_round_of_decoding_brings_forth_a_dot_segment(text in pieces()) {
            if leads_elsewhere(&text) {
                prop_assert_eq!(Resource::parse(&text), Err(ResourceMalformed::DotSegment));
            }
        }

        #[test]
        fn a_rule_is_byte_exact(rule in "[ab/]{1,4}", star: bool, resource in "[ab/]{1,6}") {
            let admitted = if star {
                resource.len() >= rule.len() && resource.as_bytes()[..rule.len()] == *rule.as_bytes()
            } else {
                resource.as_bytes() == rule.as_bytes()
            };
            prop_assert_eq!(admits(&format!("{rule}{}", if star { "*" } else { "" }), &resource), admitted);
        }

        #[test]
        fn junk_is_refused_or_reads_back(text in "\\PC{0,40}|[*a%./]{0,8}") {
            if let Ok(rule) = text.parse::<ResourceRule>() {
                prop_assert_eq!(rule.to_string(), text.as_str());
            }
            if Resource::parse(&text).is_ok() {
                prop_assert!(admits("*", &text) && admits(&text, &text));
            }
        }
    }
}
