//! The caller's side: reads credentials, proves calls, and makes any call that the
//! descriptors know.
//!
//! ```text
//! JSON → dynamic (bytes) → signer (headers or token) → call (raw bytes, any method) → dynamic (JSON)
//! ```
//!
//! Knows nothing of the store. Only `fresh` asks for the time and for randomness.

mod audit;
mod call;
mod codec;
mod connect;
mod credentials;
mod dynamic;
mod fresh;
mod lost;
mod private_file;
mod signer;

pub use audit::{Checkpoint, CheckpointRefused, VerifyFailed, WhyNot, verify_audit};
pub use call::{CallFailed, Client, Proof};
pub use codec::Raw;
pub use connect::{ClientCertificate, ConnectFailed, Endpoint, EndpointRefused, Tls, connect};
pub use credentials::{Account, Credentials, CredentialsRefused, Why};
pub use dynamic::{AnswerUnreadable, Method, RequestRefused, Schema, UnknownMethod};
pub use fresh::{request_id, unix_seconds};
pub use lost::{cause, told};
pub use signer::{Headers, MAX_LIFETIME, SigningFailed, sign_request, sign_request_now, sign_token, sign_token_now};

use connect::{IN_TLS, causes};
