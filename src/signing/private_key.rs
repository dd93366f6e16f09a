use std::fmt;

use rsa::{
    Oaep, Pkcs1v15Sign, RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey as _,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding},
    rand_core::OsRng,
};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::{PublicKey, PublicKeyRefused};

/// Why a text is not a private key to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyUnreadable {
    #[error("not an RSA private key in PEM (PKCS#8 or PKCS#1, unencrypted)")]
    Pem,
    #[error(transparent)]
    Refused(#[from] PublicKeyRefused),
}

/// It was not sealed to this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed to this key (RSA-OAEP with SHA-256)")]
pub struct NotOpened;

/// A service account's private key: on the caller's side only. The server stores and
/// handles public keys; RUSTSEC-2023-0071 (timing of private-key operations over a
/// network) has nothing to bite on. `Debug` shows the kid only: rsa's own prints the
/// exponent and the primes.
pub struct PrivateKey {
    key: RsaPrivateKey,
    public: PublicKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("kid", self.public.kid()).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a 2048-bit key from the operating system's entropy.
    pub fn generate() -> Result<Self, KeyUnreadable> {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).map_err(|_| KeyUnreadable::Pem)?;
        Self::new(key)
    }

    /// Reads PKCS#8 or PKCS#1 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyUnreadable> {
        let pem = pem.trim();
        let key = RsaPrivateKey::from_pkcs8_pem(pem)
            .or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem))
            .map_err(|_| KeyUnreadable::Pem)?;
        Self::new(key)
    }

    fn new(key: RsaPrivateKey) -> Result<Self, KeyUnreadable> {
        Ok(Self { public: PublicKey::new(key.to_public_key())?, key })
    }

    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// As PKCS#8 PEM.
    pub fn to_pem(&self) -> Result<SecretString, KeyUnreadable> {
        let pem = self.key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyUnreadable::Pem)?;
        Ok(SecretString::from(pem.as_str()))
    }

    /// Opens what was sealed to this key: the text of a key that was rotated by itself.
    pub fn open(&self, sealed: &[u8]) -> Result<SecretString, NotOpened> {
        let padding = Oaep::new::<rsa::sha2::Sha256>();
        let text = self.key.decrypt_blinded(&mut OsRng, padding, sealed).map_err(|_| NotOpened)?;
        String::from_utf8(text).map(SecretString::from).map_err(|_| NotOpened)
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 over `text`, blinded. Takes 1 ms of CPU or more.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyUnreadable> {
        self.key
            .sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &Sha256::digest(text))
            .map_err(|_| KeyUnreadable::Pem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_read_back_has_the_same_kid_and_verifies_what_it_signs() {
        use secrecy::ExposeSecret as _;

        let key = PrivateKey::generate().expect("generate");
        let again = PrivateKey::from_pem(key.to_pem().expect("pem").expose_secret()).expect("read back");
        assert_eq!(key.public().kid(), again.public().kid());
        let public = PublicKey::from_pem(key.public().to_pem()).expect("public");
        let signature = again.sign(b"text").expect("sign");
        assert!(public.verify(b"text", &signature));
        assert!(!public.verify(b"other", &signature));
        assert!(!public.verify(b"text", &signature[1..]));
    }

    #[test]
    fn what_is_sealed_to_a_key_only_that_key_opens() {
        use secrecy::ExposeSecret as _;

        let (key, other) = (PrivateKey::generate().expect("generate"), PrivateKey::generate().expect("generate"));
        let text = "a".repeat(190);
        let mut sealed = key.public().seal(text.as_bytes(), &mut OsRng).expect("seal");
        assert_ne!(sealed, key.public().seal(text.as_bytes(), &mut OsRng).expect("seal"), "drawn anew");
        assert_eq!(key.open(&sealed).expect("open").expose_secret(), text);
        assert!(other.open(&sealed).is_err());
        sealed[100] ^= 1;
        assert!(key.open(&sealed).is_err());
        assert!(key.public().seal(&[0; 191], &mut OsRng).is_err(), "too long for 2048 bits");
    }

    #[test]
    fn debug_shows_the_kid_and_no_number_of_the_key() {
        let key = PrivateKey::generate().expect("generate");
        let kid = key.public().kid();
        assert_eq!(format!("{key:?}"), format!("PrivateKey {{ kid: {kid:?}, .. }}"));
    }

    #[test]
    fn a_private_key_is_refused_where_a_public_one_belongs() {
        use secrecy::ExposeSecret as _;

        let key = PrivateKey::generate().expect("generate");
        let pem = key.to_pem().expect("pem");
        assert_eq!(PublicKey::from_pem(pem.expose_secret()).err(), Some(PublicKeyRefused::Private));
    }
}
