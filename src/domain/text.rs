//! Texts that people choose, with their limits.

use std::{fmt, ops::Deref};

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextRefused {
    #[error("is required")]
    Empty,
    #[error("has {found} characters; at most {limit} are allowed")]
    TooLong { found: usize, limit: usize },
    #[error("must not hold control or text-direction characters")]
    Invisible,
    #[error("must be 1 to {limit} of a-z, 0-9, `_`, `.` and `-`")]
    NotAWord { limit: usize },
}

/// Characters that show nothing or reorder what is around them: a name that reads as
/// another one in a terminal or a log is refused.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn check(text: &str, limit: usize, lines: bool) -> Result<(), TextRefused> {
    let found = text.chars().count();
    if found > limit {
        return Err(TextRefused::TooLong { found, limit });
    }
    if text.chars().any(|c| is_invisible(c) && !(lines && matches!(c, '\n' | '\t'))) {
        return Err(TextRefused::Invisible);
    }
    Ok(())
}

/// The name of a key, an application or a service account: 1 to 128 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    pub const LIMIT: usize = 128;

    pub fn parse(text: &str) -> Result<Self, TextRefused> {
        if text.trim().is_empty() {
            return Err(TextRefused::Empty);
        }
        check(text, Self::LIMIT, false)?;
        Ok(Self(text.into()))
    }
}

/// A description or a comment: at most 1,024 characters, lines allowed.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Note(Box<str>);

impl Note {
    pub const LIMIT: usize = 1024;

    pub fn parse(text: &str) -> Result<Self, TextRefused> {
        check(text, Self::LIMIT, true)?;
        Ok(Self(text.into()))
    }
}

/// A pair that the owner of a key hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    key: Box<str>,
    value: Box<str>,
}

impl Label {
    pub const KEY_LIMIT: usize = 63;
    pub const VALUE_LIMIT: usize = 256;

    pub fn parse(key: &str, value: &str) -> Result<Self, TextRefused> {
        Self::check_key(key)?;
        Self::check_value(value)?;
        Ok(Self { key: key.into(), value: value.into() })
    }

    pub fn check_key(key: &str) -> Result<(), TextRefused> {
        let fits = (1..=Self::KEY_LIMIT).contains(&key.len()) && key.bytes().all(is_word_byte);
        if fits { Ok(()) } else { Err(TextRefused::NotAWord { limit: Self::KEY_LIMIT }) }
    }

    pub fn check_value(value: &str) -> Result<(), TextRefused> {
        check(value, Self::VALUE_LIMIT, false)
    }

    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Of `[a-z0-9_.-]`: label keys and the segments of permissions.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
}

macro_rules! text {
    ($name:ident) => {
        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text!(Name);
text!(Note);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_show_what_they_are() {
        assert!(Name::parse("Überweisungen 🏦 ../%00").is_ok());
        assert_eq!(Name::parse("  "), Err(TextRefused::Empty));
        for bad in ["a\0b", "a\nb", "a\u{202e}b", "a\u{200b}b", "\u{feff}a"] {
            assert_eq!(Name::parse(bad), Err(TextRefused::Invisible), "{bad:?}");
        }
        assert_eq!(Name::parse(&"é".repeat(129)), Err(TextRefused::TooLong { found: 129, limit: 128 }));
        assert!(Name::parse(&"é".repeat(128)).is_ok());
        assert!(Note::parse("two\nlines").is_ok());
    }
}
