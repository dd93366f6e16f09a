use super::{Answer, Keys, VerifyKey};
use crate::{
    auth::Caller,
    domain::{
        id::Revision,
        key::Key,
        refusal::Refusal,
        time::Timestamp,
        usage::{KeyUsage, Series, UsageRange, UsedKey, Whose},
    },
    signals::Decided,
    store::Snapshot,
};

/// How much a key, or all of an application, was used.
#[derive(Debug, Clone, Copy)]
pub struct GetKeyUsage {
    pub whose: Whose,
    pub range: UsageRange,
}

/// As far as it is in the database: about a second behind.
#[derive(Debug)]
pub struct UsageReport {
    pub series: Series,
    /// The last VALID verdict, in the range or not.
    pub last_used_time: Option<Timestamp>,
}

impl Keys {
    /// What was decided in each hour or day of a range.
    pub async fn usage(&self, caller: &Caller, get: GetKeyUsage) -> Result<(UsageReport, Revision), Refusal> {
        let GetKeyUsage { whose, range } = get;
        caller.must_see(whose.application_id)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                snapshot.application(whose.application_id).await?;
                if let Some(key) = whose.key_id {
                    snapshot.key(whose.application_id, key).await?;
                }
                let series = snapshot.usage(whose, &range).await?;
                let last_used_time = snapshot.last_use(whose).await?;
                Ok((UsageReport { series, last_used_time }, snapshot.revision()))
            })
            .await
    }

    /// A key that was changed, and how it was used. Read behind the mutation, which is done:
    /// it must not fail, nor seem to, for a statistic.
    pub(super) async fn with_usage(&self, key: Key) -> UsedKey {
        let (now, found) = (self.replica.now(), key.clone());
        let read = async move |snapshot: Snapshot| snapshot.used(found.application_id, vec![found], now).await;
        match self.store.read(self.index.applied(), read).await.map(|mut used| used.pop()) {
            Ok(Some(used)) => used,
            other => {
                tracing::warn!(refusal = ?other.err(), "the usage of a key that was changed could not be read");
                UsedKey { key, usage: KeyUsage::default() }
            }
        }
    }

    /// Counts a decided call, and takes note of what is unlike before. A text that is no key
    /// counts for the application that was asked about, if there is such a one; a dry run
    /// does not count.
    pub(super) fn count(&self, question: &VerifyKey, answer: &Answer) {
        if question.dry_run {
            return;
        }
        let now = self.replica.now();
        if let Some(key) = &answer.key {
            let (client_ip, balances) = (question.facts.client_ip, &*answer.balances);
            self.signals.see(&Decided { key, verdict: answer.verdict, client_ip, balances, now });
        }
        let whose = match &answer.key {
            Some(key) => Some(Whose { application_id: key.application_id, key_id: Some(key.id) }),
            None => question
                .application_id
                .filter(|id| self.index.application(*id).is_some())
                .map(|application_id| Whose { application_id, key_id: None }),
        };
        if let Some(whose) = whose {
            self.usage.count(whose, answer.verdict, now);
        }
    }
}
