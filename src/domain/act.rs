use std::sync::Arc;

use super::{
    account::Role,
    id::{ApplicationId, ServiceAccountId},
    time::Timestamp,
};
use crate::signing::Kid;

/// A proven wish to change something: who, by which signature, through which method.
/// The store takes one with every write, spends its nonce, reads the account again and
/// writes both down. Only `auth` makes one for a caller; [`Act::operator`] is the
/// operator at the machine itself.
#[derive(Debug, Clone)]
pub struct Act {
    pub(crate) signer: Option<Signer>,
    /// `portcullis.v1.KeyService/RevokeKey`, or the command, or the job.
    pub(crate) method: &'static str,
    pub(crate) request_id: Arc<str>,
    /// The address that the call came from, empty for the operator.
    pub(crate) peer: String,
    /// What the request names, whether or not there is such.
    pub(crate) subject: Subject,
}

/// What an act is about, for the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub application_id: Option<ApplicationId>,
    /// The id of the key, application or account.
    pub resource: Option<String>,
}

/// Whose signature it was.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) account_id: ServiceAccountId,
    pub(crate) kid: Kid,
    pub(crate) nonce: Nonce,
    /// One of these is needed at the moment of the write; none: any account.
    pub(crate) roles: &'static [Role],
}

/// A nonce as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// SHA-256 of kid, a zero byte, and the nonce: another account's equal nonce is another.
    pub hash: [u8; 32],
    /// When a replay is refused by its timestamp anyway.
    pub expire_time: Timestamp,
}

impl Act {
    /// What the operator does by `portcullis dev` or `bootstrap`, beside the database.
    #[must_use]
    pub fn operator(command: &'static str) -> Self {
        let subject = Subject::default();
        Self { signer: None, method: command, request_id: command.into(), peer: String::new(), subject }
    }

    /// What the service does by itself, when the time for it has come.
    #[must_use]
    pub fn job(job: &'static str) -> Self {
        Self::operator(job)
    }
}
