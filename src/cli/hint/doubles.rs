use std::{collections::BTreeSet, time::Duration};

use tonic::Status;

use super::hint;
use crate::{
    domain::{
        account::Role,
        id::{KeyId, Revision, ServiceAccountId, WebhookId},
        refusal::{Refusal, Violations},
        time::Timestamp,
    },
    grpc::reason,
    pb::ErrorReason,
};

/// What a server of this version says, but for what it says of signatures and tokens in words of the place.
fn refusals() -> Vec<Refusal> {
    let key: KeyId = "key_0000000000000000000000".parse().expect("id");
    let webhook: WebhookId = "wh_0000000000000000000000".parse().expect("id");
    let account: ServiceAccountId = "sa_0000000000000000000000".parse().expect("id");
    let (server_time, second) = (Timestamp::from_seconds(1_795_219_200), Duration::from_secs(1));
    vec![
        Refusal::SignatureMissing { token: true },
        Refusal::SignatureMalformed("a header stands there twice"),
        Refusal::SignatureInvalid,
        Refusal::TimestampOutOfWindow { server_time, hint: "it is more than 300 seconds away" },
        Refusal::NonceReused,
        Refusal::TokenInvalid("the token was issued in the future; set the clock"),
        Refusal::RoleMissing(&[Role::Viewer]),
        Refusal::ApplicationOutOfScope,
        Refusal::GrantExceeded("the role ADMIN".to_owned()),
        Refusal::FieldInvalid(Violations::one("name", "must not be empty")),
        Refusal::RequestIdReused,
        Refusal::PageTokenInvalid,
        Refusal::KeyNotFound,
        Refusal::SealedSecretNotFound,
        Refusal::ApplicationNotFound,
        Refusal::ServiceAccountNotFound,
        Refusal::ServiceAccountKeyNotFound,
        Refusal::WebhookNotFound,
        Refusal::SecretAlreadyReturned(key),
        Refusal::WebhookSecretAlreadyReturned(webhook),
        Refusal::ServiceAccountKeyExists(Some(account)),
        Refusal::CertificateNameTaken(account),
        Refusal::KeysExist(Violations::one("keys[0].secret_sha256", "is the hash of a key already, elsewhere")),
        Refusal::KeyRevoked,
        Refusal::KeyAlreadyRotated(key),
        Refusal::TooManyOverlaps,
        Refusal::SealedSecretGone,
        Refusal::LastAdminKey,
        Refusal::SecretsKeyMissing,
        Refusal::ReplicaTooOld,
        Refusal::TooManyWebhooks(20),
        Refusal::EtagMismatch,
        Refusal::ResumeTokenExpired { oldest: Revision::new(7) },
        Refusal::HistoryForked,
        Refusal::RateLimited { retry_after: second },
        Refusal::SlowConsumer(second),
        Refusal::MessageTooLarge { limit: 9 },
        Refusal::Overloaded,
        Refusal::RevisionNotReached { applied: Revision::new(7) },
        Refusal::FreshnessUnproven,
        Refusal::RestoreUnconfirmed,
        Refusal::StoreUnavailable,
        Refusal::StoreUnfit,
        Refusal::CommitUnknown,
        Refusal::CommittedNotConfirmed(Revision::new(7)),
        Refusal::ShuttingDown,
        Refusal::MethodNotFound,
        Refusal::Internal,
    ]
}

fn words(text: &str) -> Vec<String> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_lowercase();
    text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect()
}

#[test]
fn a_hint_says_nothing_again_that_the_message_has_said() {
    const RUN: usize = 3;
    for refusal in refusals() {
        let status = Status::from(refusal);
        let (message, Some(hint)) = (words(status.message()), hint(&status)) else { continue };
        for said in words(hint).windows(RUN) {
            assert!(!message.windows(RUN).any(|run| run == said), "{said:?}: {}\n{hint}", status.message());
        }
    }
}

#[test]
fn no_reason_of_the_protos_is_left_out_of_these() {
    let looked_at: BTreeSet<_> = refusals().iter().map(reason).collect();
    let reasons = (1..1000).filter_map(|number| ErrorReason::try_from(number).ok());
    let names = reasons.map(|reason| reason.as_str_name().trim_start_matches("ERROR_REASON_"));
    assert_eq!(names.filter(|name| !looked_at.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}
