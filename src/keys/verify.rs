use std::sync::Arc;

use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, Revision},
        refusal::Refusal,
        secret::SecretHash,
        verdict::{Facts, KeyFacts, Verdict, decide},
    },
};

/// Is this key good for this request?
#[derive(Debug)]
pub struct VerifyKey {
    pub subject: Subject,
    /// A key of another application is not found.
    pub application_id: Option<ApplicationId>,
    pub facts: Facts,
}

/// Which key, once its text is read.
#[derive(Debug, Clone, Copy)]
pub enum Subject {
    Malformed,
    Hash(SecretHash),
}

/// A verdict, what it rests on, and the key where it was found.
#[derive(Debug)]
pub struct Answer {
    pub verdict: Verdict,
    pub key: Option<Arc<KeyFacts>>,
    pub revision: Revision,
}

impl Keys {
    /// Answers from memory, inside the lease only. No database, no lock.
    pub fn verify(&self, caller: &Caller, question: &VerifyKey) -> Result<Answer, Refusal> {
        if let Some(application) = question.application_id {
            caller.must_see(application)?;
        }
        // The lease first, the look-up second: a lease that holds now rests on a sync that
        // had applied all that could have been confirmed to anybody before now.
        if !self.replica.is_fresh() {
            return Err(Refusal::FreshnessUnproven);
        }
        let revision = self.index.applied();
        let Subject::Hash(hash) = question.subject else {
            return Ok(Answer { verdict: Verdict::Malformed, key: None, revision });
        };
        let seen = |key: &Arc<KeyFacts>| {
            caller.sees(key.application_id) && question.application_id.is_none_or(|id| id == key.application_id)
        };
        let Some(key) = self.index.key(&hash).filter(seen) else {
            return Ok(Answer { verdict: Verdict::NotFound, key: None, revision });
        };
        let verdict = decide(&key, &question.facts, self.replica.now());
        Ok(Answer { verdict, key: Some(key), revision })
    }
}
