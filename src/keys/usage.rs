use super::{Answer, Keys, VerifyKey};
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, KeyId, Revision},
        key::Key,
        refusal::Refusal,
        time::Timestamp,
        usage::{KeyShare, KeyUsage, Move, Series, UsageRange, UsedKey, Whose},
    },
    meters,
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
    /// Of a key: its whole chain's.
    pub series: Series,
    /// The last VALID verdict, in the range or not; of this very key.
    pub last_used_time: Option<Timestamp>,
    /// Of a key: newest first.
    pub by_key: Vec<KeyShare>,
    pub rotation: Option<Move>,
}

impl Keys {
    /// What was decided in each hour or day of a range.
    pub async fn usage(&self, caller: &Caller, get: GetKeyUsage) -> Result<(UsageReport, Revision), Refusal> {
        let GetKeyUsage { whose, range } = get;
        caller.must_see(whose.application_id)?;
        let now = self.replica.now();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                snapshot.application(whose.application_id).await?;
                let report = match whose.key_id {
                    Some(key) => of_key(&snapshot, whose.application_id, key, &range, now).await?,
                    None => UsageReport {
                        series: snapshot.usage(whose, &range).await?,
                        last_used_time: snapshot.last_use(whose).await?,
                        by_key: Vec::new(),
                        rotation: None,
                    },
                };
                Ok((report, snapshot.revision()))
            })
            .await
    }

    /// A key that was changed, and how it was used. Read behind the mutation, which is done:
    /// it must not fail, nor seem to, for a statistic.
    pub(super) async fn with_usage(&self, key: Key) -> UsedKey {
        let [used] = self.with_usages([key]).await;
        used
    }

    /// Of one application, all of them.
    pub(super) async fn with_usages<const N: usize>(&self, keys: [Key; N]) -> [UsedKey; N] {
        let (now, found) = (self.replica.now(), keys.to_vec());
        let read = async move |snapshot: Snapshot| match found.first().map(|key| key.application_id) {
            Some(application) => snapshot.used(application, found, now).await,
            None => Ok(Vec::new()),
        };
        let used = self.store.read(self.index.applied(), read).await;
        match used.map(<[UsedKey; N]>::try_from) {
            Ok(Ok(used)) => used,
            other => {
                tracing::warn!(refusal = ?other.err(), "the usage of a key that was changed could not be read");
                keys.map(|key| UsedKey { key, usage: KeyUsage::default() })
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
        meters::VERDICTS_GIVEN.count(answer.verdict as usize);
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

/// With the calls of the whole chain: they are spent of one budget.
async fn of_key(
    snapshot: &Snapshot,
    application: ApplicationId,
    key: KeyId,
    range: &UsageRange,
    now: Timestamp,
) -> Result<UsageReport, Refusal> {
    let key = snapshot.key(application, key).await?;
    let chain = snapshot.chain(key.lineage.chain).await?;
    let usage = snapshot.chain_usage(application, key.lineage.chain, range).await?;
    Ok(UsageReport {
        last_used_time: usage.share(key.id).last_used_time,
        by_key: usage.shares(&chain, now),
        rotation: usage.movement(&chain, &key, now),
        series: usage.series,
    })
}
