//! Ids: a prefix that says the kind, and 22 base62 characters of a UUID version 7, so
//! that the order of ids is the order of creation. No id is a secret.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::refusal::Refusal;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 22;

/// Not an id of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is {0} and 22 letters and digits")]
pub struct IdMalformed(&'static str);

/// The longest prefix.
const PREFIX: usize = 4;

/// In one piece, for a String to grow once. Ten digits at a time, which fit 64 bits: each
/// answer of Verify holds two ids, and a division of 128 bits costs as much as ten of these.
fn write(prefix: &str, mut number: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const TEN_DIGITS: u128 = 62_u128.pow(10);
    let mut buffer = [0; PREFIX + LENGTH];
    let text = &mut buffer[..prefix.len() + LENGTH];
    let (kind, digits) = text.split_at_mut(prefix.len());
    kind.copy_from_slice(prefix.as_bytes());
    for ten in digits.rchunks_mut(10) {
        let mut low = (number % TEN_DIGITS) as u64;
        number /= TEN_DIGITS;
        for digit in ten.iter_mut().rev() {
            *digit = ALPHABET[(low % 62) as usize];
            low /= 62;
        }
    }
    f.write_str(std::str::from_utf8(text).unwrap_or_default())
}

fn read_base62(text: &str) -> Option<u128> {
    if text.len() != LENGTH {
        return None;
    }
    text.bytes().try_fold(0_u128, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(62)?.checked_add(u128::from(digit))
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write($prefix, self.0.as_u128(), f)
            }
        }

        impl FromStr for $name {
            type Err = IdMalformed;

            fn from_str(text: &str) -> Result<Self, IdMalformed> {
                text.strip_prefix($prefix)
                    .and_then(read_base62)
                    .map(|number| Self(Uuid::from_u128(number)))
                    .ok_or(IdMalformed($prefix))
            }
        }
    };
}

id!(
    /// Of a key.
    KeyId,
    "key_"
);
id!(
    /// Of an application, the tenant.
    ApplicationId,
    "app_"
);
id!(
    /// Of a service account, the caller.
    ServiceAccountId,
    "sa_"
);

id!(
    /// Of a webhook.
    WebhookId,
    "wh_"
);
id!(
    /// Of something that is told: what Standard Webhooks calls the message's id.
    NoticeId,
    "msg_"
);
id!(
    /// Of a notice on its way to one receiver.
    DeliveryId,
    "dlv_"
);

/// The number of a mutation: dense, ordered, the same for every reader. 0 is before
/// the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(i64);

impl Revision {
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Refuses when an etag was sent and names another state: it was changed since.
    pub fn must_match(self, etag: &str) -> Result<(), Refusal> {
        if etag.is_empty() || etag == self.etag() { Ok(()) } else { Err(Refusal::EtagMismatch) }
    }

    /// What a reader sends back to say which state it saw.
    #[must_use]
    pub fn etag(self) -> String {
        format!("r{}", self.0)
    }
}

/// A thing that knows the revision that changed it last.
pub trait Versioned {
    fn changed_by(&mut self, revision: Revision);
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_read_back_and_keep_their_order(a: u128, b: u128) {
            let (x, y) = (KeyId::new(Uuid::from_u128(a)), KeyId::new(Uuid::from_u128(b)));
            prop_assert_eq!(x.to_string().parse(), Ok(x));
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
        }
    }

    #[test]
    fn other_kinds_and_overflow_are_refused() {
        assert!("app_0000000000000000000000".parse::<KeyId>().is_err());
        assert!("key_zzzzzzzzzzzzzzzzzzzzzz".parse::<KeyId>().is_err());
        assert!("key_000000000000000000000é".parse::<KeyId>().is_err());
        assert!("".parse::<KeyId>().is_err());
    }
}
