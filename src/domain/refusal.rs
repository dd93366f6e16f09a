//! Everything that a call can be refused for. `grpc/status.rs` alone says which gRPC code
//! and which reason each is; the words here are for the caller and never hold a secret,
//! SQL or a path.

use std::time::Duration;

use super::{
    account::Role,
    id::{KeyId, Revision, ServiceAccountId, WebhookId},
    lineage::MAX_GOOD,
    time::Timestamp,
};

/// One field that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// As in the proto: `key.labels[2].value`.
    pub field: String,
    pub description: String,
}

/// All fields that were wrong, collected before anything is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    pub fn add(&mut self, field: impl Into<String>, description: impl ToString) {
        self.0.push(Violation { field: field.into(), description: description.to_string() });
    }

    /// The value, or `None` with the reason noted.
    pub fn check<T, E: ToString>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error)).ok()
    }

    /// Takes those of a part of the same request that knows its own names only: `name` of the third key is
    /// `keys[2].name`.
    pub fn append_under(&mut self, prefix: &str, other: Self) {
        self.0.extend(
            other
                .0
                .into_iter()
                .map(|Violation { field, description }| Violation { field: format!("{prefix}{field}"), description }),
        );
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes those of another part of the same request.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Refuses if anything was noted.
    pub fn settle(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::FieldInvalid(self)) }
    }

    /// As [`Violations::settle`], with the parts that all went well.
    pub fn settle_with<T>(self, value: Option<T>) -> Result<T, Refusal> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Refusal::FieldInvalid(self)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    #[must_use]
    pub fn one(field: &str, description: impl ToString) -> Self {
        let mut violations = Self::default();
        violations.add(field, description);
        violations
    }
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("sign the call: x-portcullis-kid, -timestamp, -nonce and -signature{}", if *.token { ", or authorization: Bearer with a signed token" } else { "; this method takes no token" })]
    SignatureMissing { token: bool },
    #[error("{0}")]
    SignatureMalformed(&'static str),
    #[error("the signature does not verify, or the kid is not known here")]
    SignatureInvalid,
    #[error("the timestamp does not fit the server's time, {server_time}: {hint}")]
    TimestampOutOfWindow { server_time: Timestamp, hint: &'static str },
    #[error("this nonce was used before; sign every attempt anew")]
    NonceReused,
    #[error("{0}")]
    TokenInvalid(&'static str),

    #[error("this method needs the role {}", names(.0))]
    RoleMissing(&'static [Role]),
    #[error("the application is outside your scope")]
    ApplicationOutOfScope,
    #[error("nobody grants what they lack: {0}")]
    GrantExceeded(String),

    #[error("{}", first(.0))]
    FieldInvalid(Violations),
    #[error("this request_id was used for another request; make a new one")]
    RequestIdReused,
    #[error("the page_token is not one of this list and filter; start without one")]
    PageTokenInvalid,

    #[error("no such key in this application")]
    KeyNotFound,
    #[error("no secret of this key is sealed to a key of your account")]
    SealedSecretNotFound,
    #[error("no such application")]
    ApplicationNotFound,
    #[error("no such service account")]
    ServiceAccountNotFound,
    #[error("the service account has no such key")]
    ServiceAccountKeyNotFound,
    #[error("no such webhook of this application")]
    WebhookNotFound,

    #[error(
        "the key {0} was made by this request_id before and its secret returned then; if the secret is lost, rotate it with an overlap of 0, or revoke it and create another"
    )]
    SecretAlreadyReturned(KeyId),
    #[error(
        "the secret of the webhook {0} was made by this request_id before and returned then; rotate it with another request_id if it is lost"
    )]
    WebhookSecretAlreadyReturned(WebhookId),
    /// Whose it is, if the caller may see that account.
    #[error("this public key belongs to {} already; make a new key pair", whose(.0.as_ref()))]
    ServiceAccountKeyExists(Option<ServiceAccountId>),
    /// Only who reaches every application, and so every account, gets as far as this.
    #[error("a name of client certificates belongs to {0} already; take it away there first")]
    CertificateNameTaken(ServiceAccountId),
    #[error("nothing was imported: {}", first(.0))]
    KeysExist(Violations),

    #[error("the key is revoked, and a revoked key never changes again")]
    KeyRevoked,
    #[error("the key was rotated already; the newest key of its chain is {0}: rotate that one")]
    KeyAlreadyRotated(KeyId),
    #[error("too many keys of this chain are good, {MAX_GOOD}; revoke old ones, or end their overlaps earlier")]
    TooManyOverlaps,
    #[error("the key is in use, or revoked, and its secret cannot be had any more; rotate it if it is lost")]
    SealedSecretGone,
    #[error("nobody could administer the service afterwards; add another key of an unlimited admin first")]
    LastAdminKey,
    #[error(
        "this server has no key to encrypt secrets with: make one with `openssl rand -base64 32 > secrets.key`, and start it with --secrets-key-file secrets.key"
    )]
    SecretsKeyMissing,
    #[error("a replica of an older version could not read this; try again when all of them are upgraded")]
    ReplicaTooOld,
    #[error("there are {0} webhooks here already, and more are not allowed; delete one first")]
    TooManyWebhooks(u64),
    #[error("it was changed since you read it; read it again")]
    EtagMismatch,

    #[error("the history behind the resume token is gone; drop what you cached and watch without a token")]
    ResumeTokenExpired { oldest: Revision },
    #[error(
        "the resume token is of a history that this server does not have; drop what you cached and watch without a token"
    )]
    HistoryForked,

    #[error("too many calls of this kind by this service account; wait as long as RetryInfo says")]
    RateLimited { retry_after: Duration },
    #[error("the stream was not read for {0:?}; resume it from its last token")]
    SlowConsumer(Duration),
    #[error("the message is above {limit} bytes")]
    MessageTooLarge { limit: usize },
    #[error("the server has too much to do; try again")]
    Overloaded,

    #[error(
        "this replica is at {applied} and has not reached the min_revision, or the revision is of another history; try again, or another replica"
    )]
    RevisionNotReached { applied: Revision },
    #[error("this replica cannot prove that it is fresh; fail closed, and try again or another replica")]
    FreshnessUnproven,
    #[error(
        "the database was restored, and its operator has not said yet which revocations it lost; fail closed, and try again later"
    )]
    RestoreUnconfirmed,
    #[error("the database does not answer; nothing was written")]
    StoreUnavailable,
    #[error("the database refuses what this server asks of it; nothing was written, and the server's log says why")]
    StoreUnfit,
    #[error("it may have been written; repeat it, signed anew, with the same request_id if it has one")]
    CommitUnknown,
    #[error(
        "it is written as revision {0}, but nothing is promised of it yet: a replica or a verifier may not answer by it, or a failover lose it; repeat it, signed anew, until it is OK"
    )]
    CommittedNotConfirmed(Revision),
    #[error("this replica is going away; another answers")]
    ShuttingDown,

    #[error("there is no such method")]
    MethodNotFound,
    #[error("a defect of the server; its log has the request id")]
    Internal,
}

fn names(roles: &[Role]) -> String {
    let mut names: Vec<_> = roles.iter().map(|role| role.name()).collect();
    if !roles.contains(&Role::Admin) {
        names.push(Role::Admin.name());
    }
    names.join(" or ")
}

fn whose(id: Option<&ServiceAccountId>) -> String {
    id.map_or_else(|| "another account".to_owned(), ToString::to_string)
}

fn first(violations: &Violations) -> String {
    match violations.0.as_slice() {
        [] => "a field is invalid".to_owned(),
        [one] => format!("{}: {}", one.field, one.description),
        [one, rest @ ..] => format!("{}: {} (and {} more)", one.field, one.description, rest.len()),
    }
}
