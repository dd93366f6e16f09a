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
