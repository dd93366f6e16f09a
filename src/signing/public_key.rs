use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rsa::{
    BigUint, Oaep, Pkcs1v15Sign, RsaPublicKey,
    pkcs1::DecodeRsaPublicKey as _,
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _, LineEnding},
    rand_core::CryptoRngCore,
    traits::PublicKeyParts as _,
};
use sha2::{Digest as _, Sha256};

/// The id of a public key: unpadded base64url of the SHA-256 of its
/// SubjectPublicKeyInfo, so that nobody can choose one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(Arc<str>);

/// Not 43 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kid is 43 characters of [A-Za-z0-9_-]")]
pub struct KidMalformed;

impl Kid {
    fn of(spki: &[u8]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(spki)).into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Kid {
    type Err = KidMalformed;

    fn from_str(text: &str) -> Result<Self, KidMalformed> {
        let fits = text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(Self(text.into())) } else { Err(KidMalformed) }
    }
}

/// Why a text is not a public key that may sign calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyRefused {
    #[error("this is a private key: keep it to yourself, replace it if it was sent anywhere, and give the public key")]
    Private,
    #[error("not an RSA public key in PEM (SubjectPublicKeyInfo or PKCS#1)")]
    Unreadable,
    #[error("an RSA key needs 2048 to 4096 bits; this one has {0}")]
    Size(usize),
    #[error("an RSA key needs the public exponent 65537")]
    Exponent,
    #[error("an RSA modulus is odd")]
    Modulus,
}

/// The text is too long for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is too long to be sealed to this key")]
pub struct NotSealed;

/// An RSA public key that keeps the rules: 2048 to 4096 bits, exponent 65537.
#[derive(Debug, Clone)]
pub struct PublicKey {
    key: RsaPublicKey,
    kid: Kid,
    spki_pem: String,
}

impl PublicKey {
    /// Reads PEM: SubjectPublicKeyInfo or PKCS#1.
    pub fn from_pem(pem: &str) -> Result<Self, PublicKeyRefused> {
        if pem.contains("PRIVATE KEY") {
            return Err(PublicKeyRefused::Private);
        }
        let pem = pem.trim();
        let key = RsaPublicKey::from_public_key_pem(pem)
            .or_else(|_| RsaPublicKey::from_pkcs1_pem(pem))
            .map_err(|_| PublicKeyRefused::Unreadable)?;
        Self::new(key)
    }

    pub(super) fn new(key: RsaPublicKey) -> Result<Self, PublicKeyRefused> {
        let bits = key.n().bits();
        if !(2048..=4096).contains(&bits) {
            return Err(PublicKeyRefused::Size(bits));
        }
        if *key.e() != BigUint::from(65_537_u32) {
            return Err(PublicKeyRefused::Exponent);
        }
        if key.n().to_bytes_le().first().is_none_or(|low| low & 1 == 0) {
            return Err(PublicKeyRefused::Modulus);
        }
        let spki = key.to_public_key_der().map_err(|_| PublicKeyRefused::Unreadable)?;
        let spki_pem = key.to_public_key_pem(LineEnding::LF).map_err(|_| PublicKeyRefused::Unreadable)?;
        Ok(Self { kid: Kid::of(spki.as_bytes()), key, spki_pem })
    }

    #[must_use]
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// As SubjectPublicKeyInfo, whatever form it came in.
    #[must_use]
    pub fn to_pem(&self) -> &str {
        &self.spki_pem
    }

    /// Seals `text` so that only the holder of the private key can read it: RSAES-OAEP with
    /// SHA-256 in both places (RFC 8017 §7.1), and no label. At most 190 bytes for a key of 2048 bits.
    pub fn seal(&self, text: &[u8], rng: &mut impl CryptoRngCore) -> Result<Vec<u8>, NotSealed> {
        self.key.encrypt(rng, Oaep::new::<rsa::sha2::Sha256>(), text).map_err(|_| NotSealed)
    }

    /// Whether `signature` is this key's RSASSA-PKCS1-v1_5 with SHA-256 over `text`.
    /// Takes 0.1 to 0.5 ms of CPU.
    #[must_use]
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.key.size()
            && self.key.verify(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &Sha256::digest(text), signature).is_ok()
    }
}
