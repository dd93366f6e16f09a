//! What a webhook's deliveries are signed with, by Standard Webhooks.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::SecretString;
use standardwebhooks::Webhook as Signer;
use zeroize::Zeroizing;

/// The secret of a webhook: 32 bytes that its receiver has too.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// What was stored.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// As its receiver is told: `whsec_` and base64.
    #[must_use]
    pub fn text(&self) -> SecretString {
        SecretString::from(format!("whsec_{}", Zeroizing::new(BASE64_STANDARD.encode(*self.0)).as_str()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The value of `webhook-signature`: one by each secret, so that a receiver may know the old
/// one or the new one while they change. `None` when the body is no text.
#[must_use]
pub fn signatures(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let sign = |secret: &Secret| Signer::from_bytes(secret.bytes().to_vec()).ok()?.sign(id, timestamp, body).ok();
    let signatures: Vec<String> = secrets.iter().map(sign).collect::<Option<_>>()?;
    Some(signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_signature_is_what_the_receiver_computes_from_the_text() {
        let told = secret(7).text();
        assert!(told.expose_secret().starts_with("whsec_BwcHBwcH"));
        let expected =
            Signer::new(told.expose_secret()).expect("its form").sign("msg_1", 1_795_219_200, b"{}").expect("text");
        assert_eq!(signatures(&[secret(7)], "msg_1", 1_795_219_200, b"{}").as_deref(), Some(expected.as_str()));
        let both = signatures(&[secret(7), secret(8)], "msg_1", 1_795_219_200, b"{}").expect("text");
        assert_eq!(both.split(' ').next(), Some(expected.as_str()));
        assert_eq!(both.split(' ').count(), 2);
    }

    #[test]
    fn nothing_shows_it() {
        assert_eq!(format!("{:?}", secret(7)), "Secret(..)");
        assert_eq!(Secret::read(secret(7).bytes()), Some(secret(7)));
        assert_eq!(Secret::read(&[7; 31]), None);
    }
}
