//! Every refusal with its code, reason and words. A change here is a change of the contract.

use std::{collections::BTreeSet, time::Duration};

use portcullis::{
    domain::{
        account::Role,
        id::{KeyId, Revision, ServiceAccountId, WebhookId},
        refusal::{Refusal, Violations},
        time::Timestamp,
    },
    grpc::{DOMAIN, reason, status},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::sweep::pool;

/// Fails to build when a refusal is added: give it a row below.
fn is_in_the_table(refusal: &Refusal) {
    match refusal {
        Refusal::SignatureMissing { .. }
        | Refusal::SignatureMalformed(_)
        | Refusal::SignatureInvalid
        | Refusal::TimestampOutOfWindow { .. }
        | Refusal::NonceReused
        | Refusal::TokenInvalid(_)
        | Refusal::RoleMissing(_)
        | Refusal::ApplicationOutOfScope
        | Refusal::GrantExceeded(_)
        | Refusal::FieldInvalid(_)
        | Refusal::RequestIdReused
        | Refusal::PageTokenInvalid
        | Refusal::KeyNotFound
        | Refusal::ApplicationNotFound
        | Refusal::ServiceAccountNotFound
        | Refusal::ServiceAccountKeyNotFound
        | Refusal::WebhookNotFound
        | Refusal::SecretAlreadyReturned(_)
        | Refusal::WebhookSecretAlreadyReturned(_)
        | Refusal::ServiceAccountKeyExists(_)
        | Refusal::CertificateNameTaken(_)
        | Refusal::KeyRevoked
        | Refusal::KeyAlreadyRotated(_)
        | Refusal::TooManyOverlaps
        | Refusal::SealedSecretNotFound
        | Refusal::SealedSecretGone
        | Refusal::LastAdminKey
        | Refusal::SecretsKeyMissing
        | Refusal::TooManyWebhooks(_)
        | Refusal::EtagMismatch
        | Refusal::ResumeTokenExpired { .. }
        | Refusal::HistoryForked
        | Refusal::RateLimited { .. }
        | Refusal::SlowConsumer(_)
        | Refusal::MessageTooLarge { .. }
        | Refusal::Overloaded
        | Refusal::RevisionNotReached { .. }
        | Refusal::FreshnessUnproven
        | Refusal::RestoreUnconfirmed
        | Refusal::StoreUnavailable
        | Refusal::StoreUnfit
        | Refusal::CommitUnknown
        | Refusal::CommittedNotConfirmed(_)
        | Refusal::ShuttingDown
        | Refusal::MethodNotFound
        | Refusal::KeysExist(_)
        | Refusal::ReplicaTooOld
        | Refusal::Internal => {}
    }
}

/// Each refusal, its code, its reason, and the keys of its metadata.
fn table() -> Vec<(Refusal, Code, &'static str, &'static [&'static str])> {
    let server_time = Timestamp::from_seconds(1_795_219_200);
    let key: KeyId = "key_0000000000000000000000".parse().expect("id");
    let webhook: WebhookId = "wh_0000000000000000000000".parse().expect("id");
    let account: ServiceAccountId = "sa_0000000000000000000000".parse().expect("id");
    let out_of_window = |hint| Refusal::TimestampOutOfWindow { server_time, hint };
    let mut two = Violations::one("name", "is required");
    two.add("ttl", "must be at least a second");
    let second = Duration::from_secs(1);
    vec![
        (Refusal::SignatureMissing { token: true }, Code::Unauthenticated, "SIGNATURE_MISSING", &[]),
        (Refusal::SignatureMissing { token: false }, Code::Unauthenticated, "SIGNATURE_MISSING", &[]),
        (Refusal::SignatureMalformed("x"), Code::Unauthenticated, "SIGNATURE_MALFORMED", &[]),
        (Refusal::SignatureInvalid, Code::Unauthenticated, "SIGNATURE_INVALID", &[]),
        (
            out_of_window("it looks like milliseconds, send seconds"),
            Code::Unauthenticated,
            "TIMESTAMP_OUT_OF_WINDOW",
            &["server_time"],
        ),
        (
            out_of_window("it is more than 300 seconds away"),
            Code::Unauthenticated,
            "TIMESTAMP_OUT_OF_WINDOW",
            &["server_time"],
        ),
        (Refusal::NonceReused, Code::Unauthenticated, "NONCE_REUSED", &[]),
        (Refusal::TokenInvalid("x"), Code::Unauthenticated, "TOKEN_INVALID", &[]),
        (Refusal::RoleMissing(&[Role::Viewer]), Code::PermissionDenied, "ROLE_MISSING", &[]),
        (Refusal::ApplicationOutOfScope, Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE", &[]),
        (Refusal::GrantExceeded("the role ADMIN".to_owned()), Code::PermissionDenied, "GRANT_EXCEEDED", &[]),
        (Refusal::FieldInvalid(Violations::one("name", "x")), Code::InvalidArgument, "FIELD_INVALID", &[]),
        (Refusal::FieldInvalid(two), Code::InvalidArgument, "FIELD_INVALID", &[]),
        (Refusal::FieldInvalid(Violations::default()), Code::InvalidArgument, "FIELD_INVALID", &[]),
        (Refusal::RequestIdReused, Code::InvalidArgument, "REQUEST_ID_REUSED", &[]),
        (Refusal::PageTokenInvalid, Code::InvalidArgument, "PAGE_TOKEN_INVALID", &[]),
        (Refusal::KeyNotFound, Code::NotFound, "KEY_NOT_FOUND", &[]),
        (Refusal::ApplicationNotFound, Code::NotFound, "APPLICATION_NOT_FOUND", &[]),
        (Refusal::ServiceAccountNotFound, Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND", &[]),
        (Refusal::ServiceAccountKeyNotFound, Code::NotFound, "SERVICE_ACCOUNT_KEY_NOT_FOUND", &[]),
        (Refusal::SealedSecretNotFound, Code::NotFound, "SEALED_SECRET_NOT_FOUND", &[]),
        (Refusal::WebhookNotFound, Code::NotFound, "WEBHOOK_NOT_FOUND", &[]),
        (
            Refusal::WebhookSecretAlreadyReturned(webhook),
            Code::AlreadyExists,
            "SECRET_ALREADY_RETURNED",
            &["webhook_id"],
        ),
        (Refusal::SecretAlreadyReturned(key), Code::AlreadyExists, "SECRET_ALREADY_RETURNED", &["key_id"]),
        (
            Refusal::CertificateNameTaken(account),
            Code::AlreadyExists,
            "CLIENT_CERTIFICATE_NAME_TAKEN",
            &["service_account_id"],
        ),
        (
            Refusal::ServiceAccountKeyExists(Some(account)),
            Code::AlreadyExists,
            "SERVICE_ACCOUNT_KEY_EXISTS",
            &["service_account_id"],
        ),
        (Refusal::ServiceAccountKeyExists(None), Code::AlreadyExists, "SERVICE_ACCOUNT_KEY_EXISTS", &[]),
        (Refusal::KeysExist(Violations::one("keys[0]", "x")), Code::AlreadyExists, "KEY_EXISTS", &[]),
        (Refusal::KeyRevoked, Code::FailedPrecondition, "KEY_REVOKED", &[]),
        (Refusal::TooManyOverlaps, Code::FailedPrecondition, "TOO_MANY_OVERLAPS", &[]),
        (Refusal::KeyAlreadyRotated(key), Code::FailedPrecondition, "KEY_ALREADY_ROTATED", &["key_id"]),
        (Refusal::SealedSecretGone, Code::FailedPrecondition, "SEALED_SECRET_GONE", &[]),
        (Refusal::LastAdminKey, Code::FailedPrecondition, "LAST_ADMIN_KEY", &[]),
        (Refusal::SecretsKeyMissing, Code::FailedPrecondition, "SECRETS_KEY_MISSING", &[]),
        (Refusal::TooManyWebhooks(20), Code::FailedPrecondition, "TOO_MANY_WEBHOOKS", &[]),
        (Refusal::ReplicaTooOld, Code::FailedPrecondition, "REPLICA_TOO_OLD", &[]),
        (Refusal::EtagMismatch, Code::Aborted, "ETAG_MISMATCH", &[]),
        (
            Refusal::ResumeTokenExpired { oldest: Revision::new(7) },
            Code::OutOfRange,
            "RESUME_TOKEN_EXPIRED",
            &["oldest_revision"],
        ),
        (Refusal::HistoryForked, Code::OutOfRange, "HISTORY_FORKED", &[]),
        (Refusal::RateLimited { retry_after: second }, Code::ResourceExhausted, "RATE_LIMITED", &[]),
        (Refusal::SlowConsumer(second), Code::ResourceExhausted, "SLOW_CONSUMER", &[]),
        (Refusal::MessageTooLarge { limit: 9 }, Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &["limit_bytes"]),
        (Refusal::Overloaded, Code::ResourceExhausted, "OVERLOADED", &[]),
        (
            Refusal::RevisionNotReached { applied: Revision::new(7) },
            Code::Unavailable,
            "REVISION_NOT_REACHED",
            &["applied_revision"],
        ),
        (Refusal::FreshnessUnproven, Code::Unavailable, "FRESHNESS_UNPROVEN", &[]),
        (Refusal::RestoreUnconfirmed, Code::Unavailable, "RESTORE_UNCONFIRMED", &[]),
        (
            Refusal::RevisionNotReached { applied: Revision::new(7) },
            Code::Unavailable,
            "REVISION_NOT_REACHED",
            &["applied_revision"],
        ),
        (Refusal::StoreUnavailable, Code::Unavailable, "STORE_UNAVAILABLE", &[]),
        (Refusal::StoreUnfit, Code::Unavailable, "STORE_UNAVAILABLE", &[]),
        (Refusal::CommitUnknown, Code::Unavailable, "COMMIT_UNKNOWN", &[]),
        (Refusal::CommittedNotConfirmed(Revision::new(7)), Code::Unavailable, "COMMITTED_NOT_CONFIRMED", &["revision"]),
        (Refusal::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN", &[]),
        (Refusal::MethodNotFound, Code::Unimplemented, "METHOD_NOT_FOUND", &[]),
        (Refusal::Internal, Code::Internal, "INTERNAL", &[]),
    ]
}

#[test]
fn every_refusal_has_its_code_reason_and_details() {
    for (refusal, code, expected, metadata) in table() {
        is_in_the_table(&refusal);
        let told = status(&refusal);
        let details = told.get_error_details();
        let info = details.error_info().expect("info");
        assert_eq!((told.code(), info.reason.as_str(), info.domain.as_str()), (code, expected, DOMAIN));
        assert_eq!(reason(&refusal), expected);
        assert_eq!(info.metadata.keys().collect::<Vec<_>>(), metadata.iter().collect::<Vec<_>>(), "{expected}");
        assert!(info.metadata.values().all(|value| !value.is_empty()), "{expected}");
        let may_retry = matches!(code, Code::Unavailable | Code::ResourceExhausted);
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(wait.is_some_and(|wait| wait > Duration::ZERO), may_retry, "{expected}: RetryInfo");
        let fields = details.bad_request().map_or(0, |bad| bad.field_violations.len());
        let tells = matches!(&refusal, Refusal::FieldInvalid(v) | Refusal::KeysExist(v) if v.iter().count() > 0);
        assert_eq!(fields > 0, tells, "{expected}");
    }
}

#[test]
fn every_reason_of_the_proto_is_somebodys() {
    let reasons = pool().get_enum_by_name("portcullis.v1.ErrorReason").expect("the enum");
    let of_proto: BTreeSet<String> = reasons
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| value.name().trim_start_matches("ERROR_REASON_").to_owned())
        .collect();
    let told: BTreeSet<String> = table().iter().map(|(refusal, ..)| reason(refusal).to_owned()).collect();
    assert_eq!(told, of_proto);
}

/// The comment of each reason in the proto starts with its gRPC code.
#[test]
fn the_proto_names_the_code_of_each_reason() {
    let pool = pool();
    let file = pool.get_file_by_name("portcullis/v1/error_reason.proto").expect("the file");
    let proto = file.file_descriptor_proto();
    let comments = proto.source_code_info.as_ref().expect("comments are kept");
    for (refusal, code, reason, _) in table() {
        let at = proto.enum_type[0].value.iter().position(|value| value.name() == format!("ERROR_REASON_{reason}"));
        let path = [5, 0, 2, i32::try_from(at.expect(reason)).expect("small")];
        let location = comments.location.iter().find(|location| location.path == path).expect("its place");
        let comment = location.leading_comments().trim();
        let name = format!("{code:?}").chars().fold(String::new(), |mut name, c| {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
            name
        });
        assert!(comment.starts_with(&format!("{name}.")), "{reason} ({refusal:?}): {comment}");
    }
}

#[test]
fn messages_start_low_end_without_a_stop_and_fit_a_line() {
    for (refusal, _, reason, _) in table() {
        let message = refusal.to_string();
        assert!(message.starts_with(|c: char| c.is_lowercase()), "{reason}: {message}");
        assert!(!message.ends_with(['.', '!', '\n', ' ']), "{reason}: {message}");
        assert!((1..=200).contains(&message.len()), "{reason}: {message}");
        assert!(message.is_ascii() && !message.contains('\n'), "{reason}: {message}");
    }
}
