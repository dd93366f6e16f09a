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

/// `Debug` of a message, all of its fields; those that are a secret have a `Debug` of their own.
macro_rules! debug {
    ($message:ident { $($field:ident),+ $(,)? }) => {
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))$(.field(stringify!($field), &self.$field))+.finish()
            }
        }
    };
}

debug!(VerifyKeyRequest {
    subject,
    application_id,
    environment,
    required_permissions,
    client_ip,
    referrer,
    resource,
    cost,
    min_revision,
    dry_run,
});
debug!(GetRateLimitRequest { subject, application_id });

impl fmt::Debug for CreateKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateKeyResponse")
            .field("key", &self.key)
            .field("secret", &REDACTED)
            .field("revision", &self.revision)
            .finish()
    }
}

macro_rules! debug_webhook_secret {
    ($message:ident) => {
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))
                    .field("webhook", &self.webhook)
                    .field("secret", &REDACTED)
                    .field("revision", &self.revision)
                    .finish()
            }
        }
    };
}

debug_webhook_secret!(CreateWebhookResponse);
debug_webhook_secret!(RotateWebhookSecretResponse);

impl fmt::Debug for RotateKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotateKeyResponse")
            .field("key", &self.key)
            .field("secret", &REDACTED)
            .field("revision", &self.revision)
            .field("rotated_key", &self.rotated_key)
            .finish()
    }
}

impl fmt::Debug for ReportLeakedKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever found a key in a text may send the text as its source.
        f.debug_struct("ReportLeakedKeyRequest")
            .field("secret", &REDACTED)
            .field("source", &REDACTED)
            .field("wait", &self.wait)
            .finish()
    }
}

impl fmt::Debug for verify_key_request::Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str(REDACTED),
            Self::KeyId(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for get_rate_limit_request::Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str(REDACTED),
            Self::KeyId(id) => id.fmt(f),
        }
    }
}
