//! The signed token: a JWT (RFC 7519) as Google's service accounts sign them for
//! themselves. Only `alg` RS256; `none`, HMAC and the rest are not code that could be
//! reached. Whether the claims are good here and now is the reader's to decide.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::Kid;

/// A longer one is refused unread: ours are below 1 KiB.
pub const MAX_LENGTH: usize = 4096;

/// Not three parts of base64url JSON that say RS256 and a kid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JWT with alg RS256 and a kid")]
pub struct TokenMalformed;

/// What a token says. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Audience,
    pub iat: i64,
    pub exp: i64,
}

/// RFC 7519 §4.1.3: one string, or an array of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// The audiences it names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    /// RFC 7515 §4.1.11: an extension that must be understood. None is.
    #[serde(default, skip_serializing)]
    crit: Option<serde_json::Value>,
}

/// A token taken apart; its signature is not checked yet.
#[derive(Debug)]
pub struct Token<'a> {
    pub kid: Kid,
    pub claims: Claims,
    /// What the signature is over.
    pub signed: &'a str,
    pub signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes a compact serialisation (RFC 7515 §7.1) apart.
    pub fn parse(text: &'a str) -> Result<Self, TokenMalformed> {
        if text.len() > MAX_LENGTH {
            return Err(TokenMalformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenMalformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenMalformed)?;
        let header: Header = json(header)?;
        if header.alg != "RS256" || header.crit.is_some() {
            return Err(TokenMalformed);
        }
        Ok(Self {
            kid: header.kid.parse().map_err(|_| TokenMalformed)?,
            claims: json(claims)?,
            signed,
            signature: BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenMalformed)?,
        })
    }
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenMalformed> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenMalformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenMalformed)
}

/// Signs `claims` as a token.
#[cfg(feature = "client")]
pub fn sign(key: &super::PrivateKey, claims: &Claims) -> Result<String, super::KeyUnreadable> {
    let header = Header {
        alg: "RS256".to_owned(),
        kid: key.public().kid().to_string(),
        typ: Some("JWT".to_owned()),
        crit: None,
    };
    let part = |json: serde_json::Result<Vec<u8>>| {
        json.map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| super::KeyUnreadable::Pem)
    };
    let signed = format!("{}.{}", part(serde_json::to_vec(&header))?, part(serde_json::to_vec(claims))?);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}
