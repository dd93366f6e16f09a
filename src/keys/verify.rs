use std::sync::Arc;

use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        account::Role,
        id::{ApplicationId, KeyId, Revision},
        refusal::Refusal,
        secret::SecretHash,
        verdict::{Facts, KeyFacts, Verdict, decide, failing},
    },
};

/// Is this key good for this request?
#[derive(Debug)]
pub struct VerifyKey {
    pub subject: Subject,
    /// A key of another application is not found.
    pub application_id: Option<ApplicationId>,
    pub facts: Facts,
    /// What the call spends of each limit.
    pub cost: u64,
    /// Answer by this one or a later one.
    pub min_revision: Revision,
    /// Say all that is wrong; spend and count nothing.
    pub dry_run: bool,
}

/// Which key, once its text is read.
#[derive(Debug, Clone, Copy)]
pub enum Subject {
    Malformed,
    Hash(SecretHash),
    /// For those who help and have no secret.
    Id(KeyId),
}

/// A verdict, what it rests on, and the key where it was found.
#[derive(Debug)]
pub struct Answer {
    pub verdict: Verdict,
    pub key: Option<Arc<KeyFacts>>,
    pub revision: Revision,
    /// Of a dry run: all that is wrong, in order.
    pub failed_checks: Vec<Verdict>,
}

impl Keys {
    /// Answers from memory, inside the lease only. No database, no lock.
    pub async fn verify(&self, caller: &Caller, question: &VerifyKey) -> Result<Answer, Refusal> {
        may_ask(caller, question)?;
        // The lease first, the look-up second: a lease that holds now rests on a sync that
        // had applied all that could have been confirmed to anybody before now.
        if !self.replica.is_fresh() {
            return Err(Refusal::FreshnessUnproven);
        }
        let revision = self.index.applied();
        let key = match question.subject {
            Subject::Malformed => return Ok(Answer::without_key(Verdict::Malformed, revision, question)),
            Subject::Hash(hash) => self.index.key(&hash),
            Subject::Id(id) => self.by_id(id).await?,
        };
        let seen = |key: &Arc<KeyFacts>| {
            caller.sees(key.application_id) && question.application_id.is_none_or(|id| id == key.application_id)
        };
        let Some(key) = key.filter(seen) else {
            return Ok(Answer::without_key(Verdict::NotFound, revision, question));
        };
        let now = self.replica.now();
        let verdict = decide(&key, &question.facts, now);
        let failed_checks = match question.dry_run {
            true => failing(&key, &question.facts, now).collect(),
            false => Vec::new(),
        };
        Ok(Answer { verdict, key: Some(key), revision, failed_checks })
    }

    async fn by_id(&self, id: KeyId) -> Result<Option<Arc<KeyFacts>>, Refusal> {
        let found = self.store.read(self.index.applied(), async move |snapshot| snapshot.any_key(id).await).await?;
        Ok(found.map(|key| Arc::new(key.facts())))
    }
}

impl Answer {
    fn without_key(verdict: Verdict, revision: Revision, question: &VerifyKey) -> Self {
        let failed_checks = if question.dry_run { vec![verdict] } else { Vec::new() };
        Self { verdict, key: None, revision, failed_checks }
    }
}

/// Who has a key's text may ask about it as a verifier; who has its id alone, as a viewer.
fn may_ask(caller: &Caller, question: &VerifyKey) -> Result<(), Refusal> {
    match question.subject {
        Subject::Id(_) => caller.must_have(&[Role::Viewer, Role::Editor])?,
        Subject::Hash(_) | Subject::Malformed => caller.must_have(&[Role::Verifier])?,
    }
    question.application_id.map_or(Ok(()), |application| caller.must_see(application))
}
