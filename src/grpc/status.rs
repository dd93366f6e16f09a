//! The one place that says which code and reason a refusal is.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    domain::refusal::{Refusal, Violations},
    pb::ErrorReason,
};

/// The `domain` of every ErrorInfo.
pub const DOMAIN: &str = "portcullis";
const PREFIX: &str = "ERROR_REASON_";

/// The code and the reason of a refusal. Exhaustive: a new refusal does not build until
/// it has both.
fn code_and_reason(refusal: &Refusal) -> (Code, ErrorReason) {
    use ErrorReason as R;
    match refusal {
        Refusal::SignatureMissing { .. } => (Code::Unauthenticated, R::SignatureMissing),
        Refusal::SignatureMalformed(_) => (Code::Unauthenticated, R::SignatureMalformed),
        Refusal::SignatureInvalid => (Code::Unauthenticated, R::SignatureInvalid),
        Refusal::TimestampOutOfWindow { .. } => (Code::Unauthenticated, R::TimestampOutOfWindow),
        Refusal::NonceReused => (Code::Unauthenticated, R::NonceReused),
        Refusal::TokenInvalid(_) => (Code::Unauthenticated, R::TokenInvalid),
        Refusal::RoleMissing(_) => (Code::PermissionDenied, R::RoleMissing),
        Refusal::ApplicationOutOfScope => (Code::PermissionDenied, R::ApplicationOutOfScope),
        Refusal::GrantExceeded(_) => (Code::PermissionDenied, R::GrantExceeded),
        Refusal::FieldInvalid(_) => (Code::InvalidArgument, R::FieldInvalid),
        Refusal::RequestIdReused => (Code::InvalidArgument, R::RequestIdReused),
        Refusal::PageTokenInvalid => (Code::InvalidArgument, R::PageTokenInvalid),
        Refusal::KeyNotFound => (Code::NotFound, R::KeyNotFound),
        Refusal::SealedSecretNotFound => (Code::NotFound, R::SealedSecretNotFound),
        Refusal::ApplicationNotFound => (Code::NotFound, R::ApplicationNotFound),
        Refusal::ServiceAccountNotFound => (Code::NotFound, R::ServiceAccountNotFound),
        Refusal::ServiceAccountKeyNotFound => (Code::NotFound, R::ServiceAccountKeyNotFound),
        Refusal::WebhookNotFound => (Code::NotFound, R::WebhookNotFound),
        Refusal::WebhookSecretAlreadyReturned(_) => (Code::AlreadyExists, R::SecretAlreadyReturned),
        Refusal::SecretAlreadyReturned(_) => (Code::AlreadyExists, R::SecretAlreadyReturned),
        Refusal::ServiceAccountKeyExists(_) => (Code::AlreadyExists, R::ServiceAccountKeyExists),
        Refusal::CertificateNameTaken(_) => (Code::AlreadyExists, R::ClientCertificateNameTaken),
        Refusal::KeysExist(_) => (Code::AlreadyExists, R::KeyExists),
        Refusal::KeyRevoked => (Code::FailedPrecondition, R::KeyRevoked),
        Refusal::KeyAlreadyRotated(_) => (Code::FailedPrecondition, R::KeyAlreadyRotated),
        Refusal::TooManyOverlaps => (Code::FailedPrecondition, R::TooManyOverlaps),
        Refusal::SealedSecretGone => (Code::FailedPrecondition, R::SealedSecretGone),
        Refusal::LastAdminKey => (Code::FailedPrecondition, R::LastAdminKey),
        Refusal::SecretsKeyMissing => (Code::FailedPrecondition, R::SecretsKeyMissing),
        Refusal::TooManyWebhooks(_) => (Code::FailedPrecondition, R::TooManyWebhooks),
        Refusal::ReplicaTooOld => (Code::FailedPrecondition, R::ReplicaTooOld),
        Refusal::EtagMismatch => (Code::Aborted, R::EtagMismatch),
        Refusal::ResumeTokenExpired { .. } => (Code::OutOfRange, R::ResumeTokenExpired),
        Refusal::HistoryForked => (Code::OutOfRange, R::HistoryForked),
        Refusal::RateLimited { .. } => (Code::ResourceExhausted, R::RateLimited),
        Refusal::SlowConsumer(_) => (Code::ResourceExhausted, R::SlowConsumer),
        Refusal::MessageTooLarge { .. } => (Code::ResourceExhausted, R::MessageTooLarge),
        Refusal::Overloaded => (Code::ResourceExhausted, R::Overloaded),
        Refusal::FreshnessUnproven => (Code::Unavailable, R::FreshnessUnproven),
        Refusal::RestoreUnconfirmed => (Code::Unavailable, R::RestoreUnconfirmed),
        Refusal::RevisionNotReached { .. } => (Code::Unavailable, R::RevisionNotReached),
        Refusal::StoreUnavailable | Refusal::StoreUnfit => (Code::Unavailable, R::StoreUnavailable),
        Refusal::CommitUnknown => (Code::Unavailable, R::CommitUnknown),
        Refusal::CommittedNotConfirmed(_) => (Code::Unavailable, R::CommittedNotConfirmed),
        Refusal::ShuttingDown => (Code::Unavailable, R::ShuttingDown),
        Refusal::MethodNotFound => (Code::Unimplemented, R::MethodNotFound),
        Refusal::Internal => (Code::Internal, R::Internal),
    }
}

/// The reason as it goes over the wire, without the enum's prefix.
#[must_use]
pub fn reason(refusal: &Refusal) -> &'static str {
    name(code_and_reason(refusal).1)
}

fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Whether it is a reason, as it goes over the wire.
pub(super) fn is_reason(text: &str) -> bool {
    ErrorReason::from_str_name(&format!("{PREFIX}{text}")).is_some_and(|reason| reason != ErrorReason::Unspecified)
}

/// The reason that a status on the wire carries, if it is one of ours.
pub(super) fn reason_of(status: &Status) -> Option<&'static str> {
    let details = status.get_error_details();
    let info = details.error_info()?;
    ErrorReason::from_str_name(&format!("{PREFIX}{}", info.reason)).map(name)
}

/// What a caller is told.
#[must_use]
pub fn status(refusal: &Refusal) -> Status {
    let (code, reason) = code_and_reason(refusal);
    let mut details = ErrorDetails::new();
    details.set_error_info(name(reason), DOMAIN, metadata(refusal));
    if let Refusal::FieldInvalid(violations) | Refusal::KeysExist(violations) = refusal {
        add_violations(&mut details, violations);
    }
    if matches!(code, Code::Unavailable | Code::ResourceExhausted) {
        details.set_retry_info(Some(retry_after(refusal)));
    }
    Status::with_error_details(code, refusal.to_string(), details)
}

/// How many bytes of violations are told. They travel in a header, in base64, and clients
/// take as little as 8 KiB of headers: beyond it they would see a broken answer.
const VIOLATIONS: usize = 3 * 1024;

fn add_violations(details: &mut ErrorDetails, violations: &Violations) {
    let mut room = VIOLATIONS;
    for (at, violation) in violations.iter().enumerate() {
        let size = violation.field.len() + violation.description.len();
        let Some(rest) = room.checked_sub(size) else {
            let more = violations.iter().count() - at - 1;
            details
                .add_bad_request_violation(&violation.field, format!("is wrong too, and {more} more, left out here"));
            return;
        };
        room = rest;
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        status(&refusal)
    }
}

fn metadata(refusal: &Refusal) -> HashMap<String, String> {
    let pair = match refusal {
        Refusal::SecretAlreadyReturned(key_id) | Refusal::KeyAlreadyRotated(key_id) => ("key_id", key_id.to_string()),
        Refusal::WebhookSecretAlreadyReturned(id) => ("webhook_id", id.to_string()),
        Refusal::ServiceAccountKeyExists(Some(id)) | Refusal::CertificateNameTaken(id) => {
            ("service_account_id", id.to_string())
        }
        Refusal::TimestampOutOfWindow { server_time, .. } => ("server_time", server_time.to_string()),
        Refusal::ResumeTokenExpired { oldest } => ("oldest_revision", oldest.to_string()),
        Refusal::RevisionNotReached { applied } => ("applied_revision", applied.to_string()),
        Refusal::CommittedNotConfirmed(revision) => ("revision", revision.to_string()),
        Refusal::MessageTooLarge { limit } => ("limit_bytes", limit.to_string()),
        _ => return HashMap::new(),
    };
    HashMap::from([(pair.0.to_owned(), pair.1)])
}

fn retry_after(refusal: &Refusal) -> Duration {
    match refusal {
        Refusal::RateLimited { retry_after } => *retry_after,
        Refusal::SlowConsumer(_) | Refusal::ShuttingDown => Duration::from_millis(100),
        _ => Duration::from_secs(1),
    }
}
