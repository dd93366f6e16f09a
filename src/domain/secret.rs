//! The text of a key: how it is made, read and hashed.
//!
//! `[first_](sk|pk)_(live|test)_` + 43 base62 characters (256 bits of entropy as one
//! number) + 6 base62 characters of CRC-32 (ISO-HDLC) over all before them.
//!
//! WARNING: keys of this form are in the hands of customers and of secret scanners. A
//! change of a prefix, the alphabet or the checksum makes their keys MALFORMED.

use std::{fmt, ops::RangeInclusive};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::key::{KeyEnvironment, KeyType};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;
/// The shown part of the random characters.
const SHOWN: usize = 6;

/// How long a text of another system's key may be.
const FOREIGN: RangeInclusive<usize> = 8..=512;

/// The version of how [`SecretHash`] is made, stored beside it.
pub const HASH_VERSION: i16 = 1;

/// A key's text, fresh from its making. Its `Debug` prints nothing of it.
#[derive(Debug)]
pub struct PlainKey(SecretString);

/// SHA-256 of a key's whole text. 256 random bits need no salt and no slow hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

/// The text is not of a key's form, or its checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the text of a key")]
pub struct SecretMalformed;

/// An application's own first part of its keys: `[a-z][a-z0-9]{0,15}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(Box<str>);

/// Not of the form of a key prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a lowercase letter and at most 15 lowercase letters or digits, and neither `sk` nor `pk`")]
pub struct KeyPrefixMalformed;

impl KeyPrefix {
    pub fn parse(text: &str) -> Result<Self, KeyPrefixMalformed> {
        if is_first_part(text) && !matches!(text, "sk" | "pk") {
            Ok(Self(text.into()))
        } else {
            Err(KeyPrefixMalformed)
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_first_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes.first(), Some(b'a'..=b'z'))
        && bytes.len() <= 16
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

impl PlainKey {
    /// Makes the text of a key from 32 bytes of entropy.
    #[must_use]
    pub fn make(
        first: Option<&KeyPrefix>,
        kind: KeyType,
        environment: KeyEnvironment,
        entropy: Zeroizing<[u8; 32]>,
    ) -> Self {
        let kind = match kind {
            KeyType::Secret => "sk_",
            KeyType::Publishable => "pk_",
        };
        let environment = match environment {
            KeyEnvironment::Live => "live",
            KeyEnvironment::Test => "test",
        };
        let mut text = Zeroizing::new(String::with_capacity(17 + 8 + RANDOM + CHECKSUM));
        if let Some(first) = first {
            text.push_str(first.as_str());
            text.push('_');
        }
        text.push_str(kind);
        text.push_str(environment);
        text.push('_');
        push_base62(&mut text, entropy);
        let checksum = crc32fast::hash(text.as_bytes());
        push_checksum(&mut text, checksum);
        Self(SecretString::from(text.as_str()))
    }

    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.expose_secret())
    }

    /// What is shown of it for ever: all up to the sixth random character.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = self.0.expose_secret();
        text[..text.len() - RANDOM - CHECKSUM + SHOWN].to_owned()
    }

    /// Hands the text to what seals it, which must not keep it.
    pub fn seal<T>(&self, seal: impl FnOnce(&[u8]) -> T) -> T {
        seal(self.0.expose_secret().as_bytes())
    }

    /// Hands the text out, to be returned to whoever made the key.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.expose_secret().to_owned()
    }
}

/// A 256-bit number in exactly 43 digits, left-padded: no bias, since it is a
/// conversion and not a draw per character.
fn push_base62(text: &mut String, mut number: Zeroizing<[u8; 32]>) {
    let mut digits = Zeroizing::new([0_u8; RANDOM]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in number.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

fn push_checksum(text: &mut String, checksum: u32) {
    text.extend(checksum_digits(checksum).iter().map(|digit| char::from(*digit)));
}

fn checksum_digits(mut checksum: u32) -> [u8; CHECKSUM] {
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(checksum % 62) as usize];
        checksum /= 62;
    }
    digits
}

impl SecretHash {
    /// Reads what a caller presented: shape and checksum first, so that typos and junk
    /// never reach a look-up.
    pub fn of_presented(text: &str) -> Result<Self, SecretMalformed> {
        if text.len() > 17 + 8 + RANDOM + CHECKSUM || !text.is_ascii() {
            return Err(SecretMalformed);
        }
        let (head, tail) = text.rsplit_once('_').ok_or(SecretMalformed)?;
        let (kind, environment) = head.rsplit_once('_').ok_or(SecretMalformed)?;
        let (first, kind) = kind.rsplit_once('_').map_or((None, kind), |(first, kind)| (Some(first), kind));
        let fits = matches!(environment, "live" | "test")
            && matches!(kind, "sk" | "pk")
            && first.is_none_or(is_first_part)
            && tail.len() == RANDOM + CHECKSUM
            && tail.bytes().all(|b| b.is_ascii_alphanumeric());
        if !fits {
            return Err(SecretMalformed);
        }
        let (covered, checksum) = text.split_at(text.len() - CHECKSUM);
        if checksum_digits(crc32fast::hash(covered.as_bytes())) != checksum.as_bytes() {
            return Err(SecretMalformed);
        }
        Ok(Self::of(text))
    }

    /// Reads a text of whatever form that may be a key's of another system: 8 to 512 visible ASCII
    /// characters. It is worth a look only where keys were imported. One of our form whose checksum is
    /// wrong is such a text, too: others may have made theirs alike.
    #[must_use]
    pub fn of_foreign(text: &str) -> Option<Self> {
        let fits = FOREIGN.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self::of(text))
    }

    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn make(entropy: [u8; 32]) -> PlainKey {
        PlainKey::make(None, KeyType::Secret, KeyEnvironment::Live, Zeroizing::new(entropy))
    }

    #[test]
    fn the_form_is_fixed() {
        assert_eq!(make([0; 32]).reveal(), "sk_live_00000000000000000000000000000000000000000001Vxh1Z");
        assert_eq!(&make([0xff; 32]).reveal()[8..51], "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
        assert_eq!(make([0; 32]).shown(), "sk_live_000000");
    }

    #[test]
    fn what_is_not_a_key_is_malformed_without_a_look_up() {
        let good = make([7; 32]).reveal();
        assert!(SecretHash::of_presented(&good).is_ok());
        let mut wrong = good.clone();
        wrong.replace_range(9..10, if &good[9..10] == "a" { "b" } else { "a" });
        let bad = [
            "",
            "_",
            "sk_live_",
            &good[..good.len() - 1],
            &format!("{good}\n"),
            &format!(" {good}"),
            &wrong,
            &good.replace("sk_", "xk_"),
            &good.replace("live", "prod"),
            &format!("Ac_{good}"),
            &format!("_{good}"),
            &format!("a_b_{good}"),
            &"s".repeat(1 << 20),
            &good.replace("sk", "ѕk"),
        ];
        for text in bad {
            assert_eq!(SecretHash::of_presented(text), Err(SecretMalformed), "{text:.80}");
        }
    }

    #[test]
    fn a_foreign_text_is_8_to_512_visible_characters() {
        for good in ["12345678", "sk_live_x", "~!@#$%^&*()", &"x".repeat(512)] {
            assert_eq!(SecretHash::of_foreign(good), Some(SecretHash::of(good)), "{good}");
        }
        for bad in ["", "1234567", "1234 5678", "12345678\n", "schlüssel", "\u{7f}1234567", &"x".repeat(513)] {
            assert_eq!(SecretHash::of_foreign(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_made_key_reads_back(entropy: [u8; 32], first in proptest::option::of("[a-z][a-z0-9]{0,15}")) {
            let first = first.and_then(|text| KeyPrefix::parse(&text).ok());
            let key = PlainKey::make(first.as_ref(), KeyType::Secret, KeyEnvironment::Test, Zeroizing::new(entropy));
            prop_assert_eq!(SecretHash::of_presented(&key.reveal()), Ok(key.hash()));
        }

        #[test]
        fn reading_never_panics(text in "\\PC*") {
            let _ = SecretHash::of_presented(&text);
        }

        #[test]
        fn a_flipped_character_is_seen(entropy: [u8; 32], at in 0_usize..57, to in "[0-9A-Za-z]") {
            let good = make(entropy).reveal();
            let mut text = good.clone();
            text.replace_range(at..=at, &to);
            prop_assume!(text != good);
            prop_assert_eq!(SecretHash::of_presented(&text), Err(SecretMalformed));
        }
    }
}
