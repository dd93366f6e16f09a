//! The generated protobuf code and the descriptors it came from. No logic.

#![allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::large_futures,
    reason = "generated code"
)]

use std::fmt;

tonic::include_proto!("portcullis.v1");

/// The file descriptor set of every proto, custom options included: reflection,
/// `portcullis call` and the sweeps of the tests read it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/portcullis.v1.bin"));

const REDACTED: &str = "[redacted]";

impl fmt::Debug for CreateKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateKeyResponse")
            .field("key", &self.key)
            .field("secret", &REDACTED)
            .field("revision", &self.revision)
            .finish()
    }
}

impl fmt::Debug for VerifyKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyKeyRequest")
            .field("subject", &self.subject)
            .field("application_id", &self.application_id)
            .field("environment", &self.environment)
            .field("required_permissions", &self.required_permissions)
            .finish()
    }
}

impl fmt::Debug for verify_key_request::Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Secret(_) = self;
        f.write_str(REDACTED)
    }
}
