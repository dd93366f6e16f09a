use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        account::Role,
        application::Application,
        balance::{Balance, exceeded, retry_after},
        id::{ApplicationId, KeyId, Revision},
        refusal::Refusal,
        secret::SecretHash,
        time::Timestamp,
        verdict::{Facts, KeyFacts, Verdict, decide, failing},
    },
    limits::{Limited, Spending},
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
    /// Whether the verifier hears of `cache_ttl`. What it may keep, a revocation waits for.
    pub may_cache: bool,
}

/// Which key, once its text is read.
#[derive(Debug, Clone, Copy)]
pub enum Subject {
    Malformed,
    Hash(SecretHash),
    /// Of a text that is not of our form: only a key that was imported may have it.
    Foreign(SecretHash),
    /// For those who help and have no secret.
    Id(KeyId),
}

/// A verdict, what it rests on, and the key where it was found.
#[derive(Debug)]
pub struct Answer {
    pub verdict: Verdict,
    pub key: Option<Arc<KeyFacts>>,
    pub balances: Vec<Balance>,
    /// When a call that was refused by limits may pass.
    pub retry_after: Option<Duration>,
    /// How long the very same question may be answered so again, from before it was asked.
    pub cache_ttl: Option<Duration>,
    pub revision: Revision,
    /// Of a dry run: all that is wrong, in order.
    pub failed_checks: Vec<Verdict>,
}

/// A key that the caller may see, as of a revision inside the lease.
pub(super) struct Found {
    pub(super) key: Arc<KeyFacts>,
    pub(super) application: Arc<Application>,
    pub(super) revision: Revision,
}

/// How long a refused call waits to be told how its limits stand.
const TOLD_WITHIN: Duration = Duration::from_millis(250);
/// How often a call asks the store anew when others spend what it was given.
const TRIES: u32 = 64;

impl Keys {
    /// Answers from memory, inside the lease only; no lock that all calls share. The store
    /// is asked only for the first call of a limit's window, and for more of it.
    /// Waits for `min_revision` briefly, not after `until`, which is asked only when there is something to wait for.
    pub async fn verify(
        &self,
        caller: &Caller,
        question: &VerifyKey,
        until: impl Fn() -> Instant + Send,
    ) -> Result<Answer, Refusal> {
        let answer = self.answer(caller, question, until).await?;
        self.count(question, &answer);
        Ok(answer)
    }

    async fn answer(
        &self,
        caller: &Caller,
        question: &VerifyKey,
        until: impl Fn() -> Instant + Send,
    ) -> Result<Answer, Refusal> {
        may_ask(caller, question)?;
        if self.index.applied() < question.min_revision {
            self.replica.reach(&self.index, question.min_revision, until()).await?;
        }
        for _ in 0..TRIES {
            // Looked up anew after each wait: a revocation may have come meanwhile.
            let found = match self.find(caller, question.subject, question.application_id).await? {
                Ok(found) => found,
                Err((verdict, revision)) => return Ok(Answer::without_key(verdict, revision, question)),
            };
            if question.dry_run {
                return self.rehearse(found, question, until()).await;
            }
            // Limits last: what is refused before them spends nothing.
            let verdict = decide(&found.key, &question.facts, &[], self.replica.now());
            if verdict != Verdict::Valid {
                // A refused call is told how its limits stand, but neither fails nor waits long for it.
                let told = self.balances(&found, question.cost, Instant::now() + TOLD_WITHIN).await;
                return Ok(found.answer(verdict, told.unwrap_or_default()));
            }
            match self.budgets.spend(found.limited(), question.cost) {
                Spending::Spent(balances) => {
                    let cache_ttl = self.cache_ttl(question, &found);
                    return Ok(Answer { cache_ttl, ..found.answer(Verdict::Valid, balances) });
                }
                Spending::Exceeded(balances) => return Ok(found.exceeded(balances, question.cost, self.replica.now())),
                Spending::Lacking(lacking) => self.budgets.fill(lacking, until()).await?,
            }
        }
        Err(Refusal::Overloaded)
    }

    /// All that is wrong, with nothing spent.
    async fn rehearse(&self, found: Found, question: &VerifyKey, until: Instant) -> Result<Answer, Refusal> {
        let balances = self.balances(&found, question.cost, until).await?;
        let now = self.replica.now();
        let failed_checks: Vec<_> = failing(&found.key, &question.facts, &balances, now).collect();
        let verdict = failed_checks.first().copied().unwrap_or(Verdict::Valid);
        let answer = match verdict {
            Verdict::RateLimited | Verdict::QuotaExceeded => found.exceeded(balances, question.cost, now),
            verdict => found.answer(verdict, balances),
        };
        Ok(Answer { failed_checks, ..answer })
    }

    /// The key, or the verdict that there is none to see.
    pub(super) async fn find(
        &self,
        caller: &Caller,
        subject: Subject,
        application: Option<ApplicationId>,
    ) -> Result<Result<Found, (Verdict, Revision)>, Refusal> {
        // The lease first, the look-up second: a lease that holds now rests on a sync that
        // had applied all that could have been confirmed to anybody before now.
        if !self.replica.is_fresh() {
            return Err(Refusal::FreshnessUnproven);
        }
        let revision = self.index.applied();
        let key = match subject {
            Subject::Malformed => return Ok(Err((Verdict::Malformed, revision))),
            // Nobody hears whether keys were imported to what they may not see.
            Subject::Foreign(_) if !self.index.has_imports(caller.scope(), application) => {
                return Ok(Err((Verdict::Malformed, revision)));
            }
            Subject::Hash(hash) | Subject::Foreign(hash) => self.index.key(&hash),
            Subject::Id(id) => self.by_id(id).await?,
        };
        let seen = |key: &Arc<KeyFacts>| {
            caller.sees(key.application_id) && application.is_none_or(|id| id == key.application_id)
        };
        let Some(key) = key.filter(seen) else { return Ok(Err((Verdict::NotFound, revision))) };
        let application = self.index.application(key.application_id).ok_or(Refusal::Internal)?;
        Ok(Ok(Found { key, application, revision }))
    }

    /// The store knows whose id it is; the facts are the index's, as for who has the text.
    async fn by_id(&self, id: KeyId) -> Result<Option<Arc<KeyFacts>>, Refusal> {
        let found = self.store.read(self.index.applied(), async move |snapshot| snapshot.any_key(id).await).await?;
        Ok(found.and_then(|key| self.index.key(&key.hash)))
    }

    /// How the limits of a key stand for a call of `cost`; waits for the store until then.
    pub(super) async fn balances(&self, found: &Found, cost: u64, until: Instant) -> Result<Vec<Balance>, Refusal> {
        for _ in 0..TRIES {
            match self.budgets.look(found.limited(), cost) {
                Ok(balances) => return Ok(balances),
                Err(lacking) => self.budgets.fill(lacking, until).await?,
            }
        }
        Err(Refusal::Overloaded)
    }
}

impl Found {
    pub(super) fn limited(&self) -> Limited<'_> {
        Limited { key: self.key.chain, plan: self.application.plan.rate_limits(), own: &self.key.limits }
    }

    fn answer(self, verdict: Verdict, balances: Vec<Balance>) -> Answer {
        let Self { key, revision, .. } = self;
        Answer {
            verdict,
            key: Some(key),
            balances,
            retry_after: None,
            cache_ttl: None,
            revision,
            failed_checks: Vec::new(),
        }
    }

    fn exceeded(self, balances: Vec<Balance>, cost: u64, now: Timestamp) -> Answer {
        let verdict = exceeded(&balances).next().unwrap_or(Verdict::RateLimited);
        Answer { retry_after: retry_after(&balances, cost, now), ..self.answer(verdict, balances) }
    }
}

impl Answer {
    fn without_key(verdict: Verdict, revision: Revision, question: &VerifyKey) -> Self {
        let failed_checks = if question.dry_run { vec![verdict] } else { Vec::new() };
        Self { verdict, key: None, balances: Vec::new(), retry_after: None, cache_ttl: None, revision, failed_checks }
    }
}

/// Who has a key's text may ask about it as a verifier; who has its id alone, as a viewer.
fn may_ask(caller: &Caller, question: &VerifyKey) -> Result<(), Refusal> {
    match question.subject {
        Subject::Id(_) => caller.must_have(&[Role::Viewer, Role::Editor])?,
        Subject::Hash(_) | Subject::Foreign(_) | Subject::Malformed => caller.must_have(&[Role::Verifier])?,
    }
    question.application_id.map_or(Ok(()), |application| caller.must_see(application))
}
