//! Secrets at rest: XChaCha20-Poly1305 under keys that are not in the database. Whoever has a
//! copy of the database alone, a backup for instance, has no webhook's secret.

use std::{fmt, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The keys: the first one encrypts, all of them decrypt.
#[derive(Clone, Default)]
pub struct Vault {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    /// Stands beside what it encrypted, so that the right one is found.
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
}

/// Why a file of keys is not taken. Says where, and never what stands there.
#[derive(Debug, thiserror::Error)]
pub enum KeysRefused {
    #[error("cannot read the secrets key file {path}: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error("line {0} of the secrets key file is not 32 bytes in base64; make one with: openssl rand -base64 32")]
    Malformed(usize),
    #[error("the secrets key file holds no key; make one with: openssl rand -base64 32")]
    Empty,
}

/// Why a stored secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    #[error("it was encrypted under a key that is not in the secrets key file")]
    KeyMissing,
    #[error("it was changed, or is another's")]
    Damaged,
}

/// There is no key to encrypt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

const VERSION: u8 = 1;
const KEY_ID: usize = 8;
pub const NONCE: usize = 24;

impl Vault {
    /// Lines of 32 bytes in base64; empty lines and those that begin with `#` are passed over.
    pub fn read(text: &str) -> Result<Self, KeysRefused> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = BASE64_STANDARD.decode(line).map(Zeroizing::new);
            let bytes = bytes.ok().filter(|bytes| bytes.len() == 32).ok_or(KeysRefused::Malformed(at + 1))?;
            keys.push(Key::new(&bytes).ok_or(KeysRefused::Malformed(at + 1))?);
        }
        if keys.is_empty() { Err(KeysRefused::Empty) } else { Ok(Self { keys }) }
    }

    pub fn open_file(path: &Path) -> Result<Self, KeysRefused> {
        let unreadable = |error| KeysRefused::Unreadable { path: path.display().to_string(), error };
        Self::read(&Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?))
    }

    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// `owner` is whose it is: it opens in that name alone. The nonce is drawn for this one text.
    pub fn seal(&self, owner: &str, nonce: [u8; NONCE], plain: &[u8]) -> Result<Vec<u8>, NoKey> {
        let key = self.keys.first().ok_or(NoKey)?;
        let payload = Payload { msg: plain, aad: owner.as_bytes() };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| NoKey)?;
        let mut whole = Vec::with_capacity(1 + KEY_ID + NONCE + sealed.len());
        whole.push(VERSION);
        whole.extend_from_slice(&key.id);
        whole.extend_from_slice(&nonce);
        whole.extend_from_slice(&sealed);
        Ok(whole)
    }

    pub fn open(&self, owner: &str, whole: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let [VERSION, rest @ ..] = whole else { return Err(NotOpened::Damaged) };
        let (id, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(NotOpened::Damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(NotOpened::Damaged)?;
        let key = self.keys.iter().find(|key| key.id == *id).ok_or(NotOpened::KeyMissing)?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        key.cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| NotOpened::Damaged)
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).ok()?;
        let mut hash = Sha256::new();
        hash.update("portcullis secrets key\0");
        hash.update(bytes);
        let digest: [u8; 32] = hash.finalize().into();
        Some(Self { id: *digest.first_chunk()?, cipher })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(byte: u8) -> String {
        BASE64_STANDARD.encode([byte; 32])
    }

    fn vault(bytes: &[u8]) -> Vault {
        Vault::read(&bytes.iter().map(|byte| line(*byte) + "\n").collect::<String>()).expect("keys")
    }

    #[test]
    fn an_older_key_opens_and_the_newest_seals() {
        let old = vault(&[1]).seal("wh_1", [9; NONCE], b"secret").expect("sealed");
        let both = vault(&[2, 1]);
        assert_eq!(both.open("wh_1", &old).expect("opened").as_slice(), b"secret");
        let new = both.seal("wh_1", [9; NONCE], b"secret").expect("sealed");
        assert_eq!(vault(&[2]).open("wh_1", &new).expect("opened").as_slice(), b"secret");
        assert_eq!(vault(&[1]).open("wh_1", &new), Err(NotOpened::KeyMissing));
        assert_eq!(vault(&[2]).open("wh_1", &old), Err(NotOpened::KeyMissing));
        assert_eq!(Vault::default().seal("wh_1", [9; NONCE], b"secret"), Err(NoKey));
    }

    #[test]
    fn files_of_keys() {
        let text = format!("# made in May\n\n  {}  \n{}\r\n", line(1), line(2));
        assert_eq!(format!("{:?}", Vault::read(&text).expect("keys")), "Vault(2 keys)");
        for (text, said) in [
            (String::new(), "holds no key"),
            ("# nothing\n".to_owned(), "holds no key"),
            (format!("{}\nhunter2", line(1)), "line 2"),
            (BASE64_STANDARD.encode([1; 31]), "line 1"),
        ] {
            let refused = Vault::read(&text).expect_err("refused").to_string();
            assert!(refused.contains(said) && !refused.contains("hunter2"), "{refused}");
            assert!(refused.contains("openssl rand -base64 32"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn any_other_owner_or_byte_is_refused(at: prop::sample::Index, flip in 1..=255_u8, plain: [u8; 32]) {
            let vault = vault(&[1]);
            let sealed = vault.seal("wh_1", [3; NONCE], &plain).expect("sealed");
            let opened = vault.open("wh_1", &sealed).expect("opened");
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            prop_assert!(vault.open("wh_2", &sealed).is_err());
            let mut other = sealed;
            let at = at.index(other.len());
            other[at] ^= flip;
            prop_assert!(vault.open("wh_1", &other).is_err());
            prop_assert!(vault.open("wh_1", &other[..at]).is_err());
        }
    }
}
