//! The metadata of a call, read strictly: each header once, each of its exact form.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use sha2::{Digest as _, Sha256};

use super::NONCE_KEPT;
use crate::{
    domain::{act::Nonce, refusal::Refusal, time::Timestamp},
    signing::{self, Kid},
};

/// What a call came with.
#[derive(Debug)]
pub enum Presented<'a> {
    Nothing,
    Token(&'a [u8]),
    Signed(SignedHeaders<'a>),
}

/// The four headers of a signed request.
#[derive(Debug)]
pub struct SignedHeaders<'a> {
    pub(super) kid: Kid,
    pub(super) time: Timestamp,
    /// As sent: these bytes are signed.
    pub(super) timestamp: &'a str,
    pub(super) nonce: &'a str,
    pub(super) signature: Vec<u8>,
}

const NAMES: [&str; 4] = [signing::KID, signing::TIMESTAMP, signing::NONCE, signing::SIGNATURE];

impl<'a> Presented<'a> {
    /// Reads the headers of a call.
    pub fn read(headers: &'a HeaderMap, server_time: impl FnOnce() -> Timestamp) -> Result<Self, Refusal> {
        let signed = headers.keys().any(|name| NAMES.contains(&name.as_str()));
        match (headers.contains_key(AUTHORIZATION), signed) {
            (false, false) => Ok(Self::Nothing),
            (true, false) => token(headers).map(Self::Token),
            (false, true) => SignedHeaders::read(headers, server_time()).map(Self::Signed),
            (true, true) => malformed("send either the x-portcullis headers or authorization, not both"),
        }
    }
}

impl<'a> SignedHeaders<'a> {
    fn read(headers: &'a HeaderMap, server_time: Timestamp) -> Result<Self, Refusal> {
        let [kid, timestamp, nonce, signature] = NAMES.map(|name| single(headers, name));
        let (kid, timestamp, nonce, signature) = (kid?, timestamp?, nonce?, signature?);
        let Ok(kid) = kid.parse() else {
            return malformed("x-portcullis-kid is 43 characters of [A-Za-z0-9_-]");
        };
        let time = read_time(timestamp, server_time)?;
        if !(22..=64).contains(&nonce.len())
            || !nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return malformed("x-portcullis-nonce is 22 to 64 characters of [A-Za-z0-9_-]");
        }
        let signature = BASE64_STANDARD.decode(signature).ok().filter(|bytes| !bytes.is_empty());
        let Some(signature) = signature else {
            return malformed("x-portcullis-signature is standard base64 with padding");
        };
        Ok(Self { kid, time, timestamp, nonce, signature })
    }

    /// How the nonce is remembered.
    pub(super) fn nonce(&self) -> Nonce {
        let mut hash = Sha256::new();
        hash.update(self.kid.as_str());
        hash.update([0]);
        hash.update(self.nonce);
        Nonce { hash: hash.finalize().into(), expire_time: self.time.checked_add(NONCE_KEPT).unwrap_or(Timestamp::MAX) }
    }
}

fn read_time(text: &str, server_time: Timestamp) -> Result<Timestamp, Refusal> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    match text.len() {
        10 if digits => Ok(Timestamp::from_seconds(text.parse().unwrap_or(0))),
        13 if digits => {
            Err(Refusal::TimestampOutOfWindow { server_time, hint: "it looks like milliseconds, send seconds" })
        }
        _ => malformed("x-portcullis-timestamp is the Unix time in seconds, ten digits"),
    }
}

fn token(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::TokenInvalid("authorization is given more than once"));
    };
    // RFC 7235 §2.1: the scheme is case-insensitive.
    const SCHEME: &[u8] = b"bearer ";
    let token =
        value.as_bytes().split_at_checked(SCHEME.len()).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
    token.map(|(_, token)| token).ok_or(Refusal::TokenInvalid("authorization is not `Bearer` and a signed token"))
}

/// The one value of a header. gRPC lets a proxy join two values by a comma, so a comma is
/// a second value.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return malformed(match name {
            signing::KID => "x-portcullis-kid is needed exactly once",
            signing::TIMESTAMP => "x-portcullis-timestamp is needed exactly once",
            signing::NONCE => "x-portcullis-nonce is needed exactly once",
            _ => "x-portcullis-signature is needed exactly once",
        });
    };
    match value.to_str() {
        Ok(text) if !text.contains(',') => Ok(text),
        _ => malformed("an x-portcullis header holds a comma or a character outside ASCII"),
    }
}

fn malformed<T>(what: &'static str) -> Result<T, Refusal> {
    Err(Refusal::SignatureMalformed(what))
}
