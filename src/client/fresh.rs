//! What makes one call differ from the next: the time, a nonce, a request_id.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::{TryRng as _, rngs::SysRng};
use uuid::{Builder, Uuid};

use super::SigningFailed;

/// Unix time in seconds.
pub fn unix_seconds() -> Result<i64, SigningFailed> {
    #[allow(clippy::disallowed_methods, reason = "the one place on the caller's side; the server has `clock`")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| SigningFailed::Clock)?;
    i64::try_from(since.as_secs()).map_err(|_| SigningFailed::Clock)
}

/// 144 bits of the operating system's entropy, as 24 characters of base64url.
pub(super) fn nonce() -> Result<String, SigningFailed> {
    let mut bytes = [0_u8; 18];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| SigningFailed::Entropy)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// A new `request_id`, a random UUID: with the same one, a repeat never makes a second key.
pub fn request_id() -> Result<Uuid, SigningFailed> {
    let mut bytes = [0_u8; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| SigningFailed::Entropy)?;
    Ok(Builder::from_random_bytes(bytes).into_uuid())
}
