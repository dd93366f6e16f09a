//! The two proofs of a call. Those that take the time are pure; `…_now` take it, and
//! the nonce, from the machine.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use super::{Credentials, fresh};
use crate::signing::{self, KeyUnreadable, Signed, token};

/// The longest life of a token that a server accepts.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// Why a call could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningFailed {
    #[error(transparent)]
    Key(#[from] KeyUnreadable),
    #[error("a token lives for 1 second to 1 hour: choose a lifetime between")]
    Lifetime,
    #[error("this machine's clock is not set: set it")]
    Clock,
    #[error("the operating system gives no entropy: nothing can be signed")]
    Entropy,
    #[error("`{0}` holds what no header can: use printable ASCII")]
    Header(&'static str),
}

/// The metadata of one signed request. Good for one call, within 300 seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    pub kid: String,
    pub timestamp: String,
    pub nonce: String,
    pub signature: String,
}

impl Headers {
    /// Names and values.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 4] {
        [
            (signing::KID, &self.kid),
            (signing::TIMESTAMP, &self.timestamp),
            (signing::NONCE, &self.nonce),
            (signing::SIGNATURE, &self.signature),
        ]
    }

    /// Puts them into a call's metadata.
    pub fn apply(&self, metadata: &mut MetadataMap) -> Result<(), SigningFailed> {
        for (name, value) in self.pairs() {
            metadata.insert(name, ascii(name, value)?);
        }
        Ok(())
    }
}

/// Puts a token into a call's metadata.
pub(super) fn apply_token(token: &SecretString, metadata: &mut MetadataMap) -> Result<(), SigningFailed> {
    let mut value = ascii("authorization", &format!("Bearer {}", token.expose_secret()))?;
    value.set_sensitive(true);
    metadata.insert("authorization", value);
    Ok(())
}

fn ascii(name: &'static str, value: &str) -> Result<MetadataValue<Ascii>, SigningFailed> {
    value.parse().map_err(|_| SigningFailed::Header(name))
}

/// Signs `message`, the bytes that will stand behind the gRPC prefix, for `path`
/// (`/package.Service/Method`). `now` is Unix seconds; `nonce` is 22 to 64 of
/// `[A-Za-z0-9_-]`, never used before with this key.
pub fn sign_request(
    credentials: &Credentials,
    path: &str,
    message: &[u8],
    now: i64,
    nonce: &str,
) -> Result<Headers, SigningFailed> {
    let (kid, timestamp) = (credentials.kid().as_str(), now.to_string());
    let audience = &credentials.account().audience;
    let text = Signed { audience, path, timestamp: &timestamp, nonce, kid, message }.text();
    let signature = BASE64_STANDARD.encode(credentials.key().sign(text.as_bytes())?);
    Ok(Headers { kid: kid.to_owned(), timestamp, nonce: nonce.to_owned(), signature })
}

/// [`sign_request`] with the machine's time and a new nonce.
pub fn sign_request_now(credentials: &Credentials, path: &str, message: &[u8]) -> Result<Headers, SigningFailed> {
    sign_request(credentials, path, message, fresh::unix_seconds()?, &fresh::nonce()?)
}

/// A token for `audience` (usually the credentials' own), good from `now` (Unix
/// seconds) for `lifetime`, which is cut to whole seconds: 1 second to [`MAX_LIFETIME`].
pub fn sign_token(
    credentials: &Credentials,
    audience: &str,
    lifetime: Duration,
    now: i64,
) -> Result<SecretString, SigningFailed> {
    if lifetime < Duration::from_secs(1) || lifetime > MAX_LIFETIME {
        return Err(SigningFailed::Lifetime);
    }
    let email = &credentials.account().client_email;
    let lifetime = i64::try_from(lifetime.as_secs()).map_err(|_| SigningFailed::Lifetime)?;
    let claims = token::Claims {
        iss: email.clone(),
        sub: email.clone(),
        aud: token::Audience::One(audience.to_owned()),
        iat: now,
        exp: now.saturating_add(lifetime),
    };
    Ok(token::sign(credentials.key(), &claims)?.into())
}

/// [`sign_token`] with the machine's time.
pub fn sign_token_now(
    credentials: &Credentials,
    audience: &str,
    lifetime: Duration,
) -> Result<SecretString, SigningFailed> {
    sign_token(credentials, audience, lifetime, fresh::unix_seconds()?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        client::Account,
        signing::{PrivateKey, token::Token},
    };

    const NOW: i64 = 1_795_219_200;

    /// Those of somebody.
    pub(in crate::client) fn credentials() -> Credentials {
        let account = Account {
            client_id: "sa_1".to_owned(),
            client_email: "admin@demo.portcullis".to_owned(),
            audience: "staging".to_owned(),
            endpoint: None,
        };
        Credentials::new(account, PrivateKey::generate().expect("generate"))
    }

    #[test]
    fn a_signed_request_verifies_over_the_eight_lines_and_no_others() {
        let credentials = credentials();
        let path = "/portcullis.v1.KeyService/RevokeKey";
        let headers = sign_request(&credentials, path, b"bytes", NOW, "0123456789abcdefghijkl").expect("sign");
        assert_eq!((headers.timestamp.as_str(), headers.nonce.as_str()), ("1795219200", "0123456789abcdefghijkl"));
        let verifies = |audience, message: &[u8]| {
            let Headers { kid, timestamp, nonce, signature } = &headers;
            let text = Signed { audience, path, timestamp, nonce, kid, message }.text();
            credentials.public_key().verify(text.as_bytes(), &BASE64_STANDARD.decode(signature).expect("base64"))
        };
        assert!(verifies("staging", b"bytes"));
        assert!(!verifies("portcullis", b"bytes"));
        assert!(!verifies("staging", b"other"));
    }

    #[test]
    fn two_signatures_of_the_same_request_share_no_nonce() {
        let credentials = credentials();
        let sign = || sign_request_now(&credentials, "/s/m", b"").expect("sign");
        let (one, other) = (sign(), sign());
        assert_ne!(one.nonce, other.nonce);
        assert!(one.nonce.len() >= 22 && one.nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert_eq!(one.timestamp.len(), 10);
    }

    #[test]
    fn a_token_is_googles_self_signed_jwt() {
        let credentials = credentials();
        let text = sign_token(&credentials, "https://keys.example.com/", Duration::from_secs(90), NOW).expect("sign");
        let token = Token::parse(text.expose_secret()).expect("parse");
        assert_eq!(&token.kid, credentials.kid());
        assert!(credentials.public_key().verify(token.signed.as_bytes(), &token.signature));
        assert_eq!(
            (token.claims.iss.as_str(), token.claims.sub.as_str()),
            ("admin@demo.portcullis", "admin@demo.portcullis")
        );
        assert_eq!(token.claims.aud.names(), ["https://keys.example.com/"]);
        assert_eq!((token.claims.iat, token.claims.exp), (NOW, NOW + 90));
    }

    #[test]
    fn a_token_lives_between_a_second_and_an_hour() {
        let credentials = credentials();
        let sign = |lifetime| sign_token(&credentials, "a", lifetime, NOW).map(|_| ());
        assert_eq!(sign(MAX_LIFETIME), Ok(()));
        assert_eq!(sign(MAX_LIFETIME + Duration::from_nanos(1)), Err(SigningFailed::Lifetime));
        assert_eq!(sign(Duration::from_millis(999)), Err(SigningFailed::Lifetime));
    }

    #[test]
    fn a_nonce_that_no_header_can_hold_is_an_error() {
        let headers = Headers {
            kid: String::new(),
            timestamp: String::new(),
            nonce: "a\nb".to_owned(),
            signature: String::new(),
        };
        assert_eq!(headers.apply(&mut MetadataMap::new()), Err(SigningFailed::Header(signing::NONCE)));
    }
}
