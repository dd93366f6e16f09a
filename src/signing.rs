//! What is signed and how, for both sides of a call.
//!
//! One scheme, no negotiation: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2),
//! over the eight lines of [`Signed`], over a JWT (RFC 7519) with `alg` RS256, or
//! over the seven lines of a [`SignedCheckpoint`]. Secrets of keys are sealed by RSAES-OAEP
//! with SHA-256. Knows nothing of gRPC, of the store, or of who may do what.

mod checkpoint;
#[cfg(feature = "client")]
mod private_key;
mod public_key;
mod text;
pub mod token;

pub use checkpoint::SignedCheckpoint;
#[cfg(feature = "client")]
pub use private_key::{KeyUnreadable, NotOpened, PrivateKey};
pub use public_key::{Kid, NotSealed, PublicKey, PublicKeyRefused};
pub use text::Signed;

/// The metadata of a signed request.
pub const KID: &str = "x-portcullis-kid";
/// Unix time in seconds, ten digits.
pub const TIMESTAMP: &str = "x-portcullis-timestamp";
/// 22 to 64 of `[A-Za-z0-9_-]`, never used twice by a kid.
pub const NONCE: &str = "x-portcullis-nonce";
/// Standard base64 with padding.
pub const SIGNATURE: &str = "x-portcullis-signature";

/// The audience where none is configured.
pub const DEFAULT_AUDIENCE: &str = "portcullis";
