//! What was found in the calls of keys, against what is known and what was told: who
//! finds the same on two replicas, or twice, tells it once.

mod alerts;
mod ceiling;
mod networks;

use std::sync::Arc;

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, TransactionTrait as _};

pub(super) use alerts::{Claim, Claimed, claim};

use super::{Error, Store, applications, codec, entity::alert, keys, notices::Written, usage};
use crate::domain::{
    key::Key,
    notice::{Notice, Suspicion, What},
    signal::{Finding, GROWN_UP, LOOK_BACK, Sign},
    time::Timestamp,
    usage::{UsageRange, UsageUnit, Whose},
};

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It is in the outbox.
    Told,
    /// Its application has been told enough in this hour; the last of the hour says so.
    Held,
    /// It is nothing new, or nothing that is wanted; nothing of its kind is told before then.
    Quiet(Option<Timestamp>),
}

/// As long as a quota's period, and a little.
const ALERTS_KEPT: std::time::Duration = std::time::Duration::from_hours(40 * 24);

impl Store {
    /// Notes findings, in their order and in one transaction: teaches networks, and writes
    /// what is to be told beside that.
    pub async fn note_findings(&self, findings: Arc<[Finding]>) -> Result<Vec<Noted>, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_ledger().await?;
            let now = store.database_time();
            let (mut noted, mut told) = (Vec::with_capacity(findings.len()), Vec::new());
            for finding in findings.iter() {
                noted.push(note(&tx, finding, now, &mut told).await?);
            }
            let rings = !told.is_empty();
            store.tell_written(&tx, now, told).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            if rings {
                store.inner.told.notify_one();
            }
            Ok(noted)
        })
        .await
    }

    /// Tells of each hour that is over the last that was held back. Answers how many there were.
    pub async fn tell_held_back(&self) -> Result<u64, Error> {
        self.detached(async move |store| {
            let now = store.database_time();
            // Mostly there is nothing, and to look takes no turn.
            if ceiling::over(&store.inner.ledger, now).await?.is_empty() {
                return Ok(0);
            }
            let (_turn, tx) = store.begin_ledger().await?;
            let mut told = Vec::new();
            for row in ceiling::over(&tx, now).await? {
                ceiling::settle(&tx, row, &mut told).await?;
            }
            let count = told.len() as u64;
            store.tell_written(&tx, now, told).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            if count > 0 {
                store.inner.told.notify_one();
            }
            Ok(count)
        })
        .await
    }

    /// The calls of a key in the hour of `now`, and in the busiest one of the week before.
    pub async fn volume(&self, whose: Whose, now: Timestamp) -> Result<(u64, u64), Error> {
        self.detached(async move |store| {
            let hour = UsageUnit::Hour.start(now);
            let range =
                UsageRange { unit: UsageUnit::Hour, start: hour.saturating_sub(LOOK_BACK), end: Timestamp::MAX };
            // The ledger's: to watch must not keep calls waiting that read.
            let tx = store.inner.ledger.begin().await?;
            let series = usage::series(&tx, whose, &range).await?;
            tx.rollback().await?;
            let hours = || series.points().map(|(start, decided)| (start, decided.requests()));
            let this = hours().filter(|(start, _)| *start == hour).map(|(_, requests)| requests).sum();
            let usual = hours().filter(|(start, _)| *start < hour).map(|(_, requests)| requests).max();
            Ok((this, usual.unwrap_or_default()))
        })
        .await
    }

    /// Forgets networks that were not seen for 90 days, but for each chain's last one, and what
    /// was told so long ago that it is told again anyway.
    pub async fn forget_signals(&self, now: Timestamp) -> Result<u64, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_ledger().await?;
            let networks = networks::forget(&tx, now).await?;
            let old = alert::Column::LastTime.lt(now.saturating_sub(ALERTS_KEPT).micros());
            let alerts = alert::Entity::delete_many().filter(old).exec(&tx).await?.rows_affected;
            tx.commit().await?;
            Ok(networks + alerts)
        })
        .await
    }
}

async fn note(
    db: &impl ConnectionTrait,
    finding: &Finding,
    now: Timestamp,
    told: &mut Vec<Written>,
) -> Result<Noted, Error> {
    if let Sign::Network(network) = finding.sign
        && !networks::meet(db, finding.chain, network, now).await?
    {
        return Ok(Noted::Quiet(None));
    }
    let Some(key) = keys::find(db, finding.application_id, finding.key_id, false).await? else {
        return Ok(Noted::Quiet(None));
    };
    if !is_wanted(db, finding, &key, now).await? {
        return Ok(Noted::Quiet(None));
    }
    let Finding { sign, .. } = finding;
    let wish = Claim {
        subject: finding.subject(),
        kind: sign.kind(),
        detail: sign.detail(),
        told_before: sign.told_before(now),
    };
    let held = match claim(db, &wish, now).await? {
        // Networks are each another; the others are the same once more.
        Claimed::Yes { held } if matches!(sign, Sign::Network(_)) => held,
        Claimed::Yes { .. } => 0,
        Claimed::No { last_time } => {
            let wait = now.since(wish.told_before);
            return Ok(Noted::Quiet(last_time.checked_add(wait)));
        }
    };
    let notice = Written::of(&Notice::of(&key, what(sign)), now);
    let notice = Written { payload: codec::with_held_back(notice.payload, held), ..notice };
    ceiling::pass(db, notice, now, told).await
}

/// Whether the application wants to hear of it at all.
async fn is_wanted(db: &impl ConnectionTrait, finding: &Finding, key: &Key, now: Timestamp) -> Result<bool, Error> {
    match finding.sign {
        Sign::Network(_) => {
            let application = applications::find(db, finding.application_id, false).await?;
            Ok(application.is_some_and(|application| !application.alert_thresholds.ignore_new_networks))
        }
        Sign::Volume { .. } => Ok(now.since(key.create_time) >= GROWN_UP),
        _ => Ok(true),
    }
}

fn what(sign: &Sign) -> What {
    match sign {
        Sign::Network(network) => What::Suspicious(Suspicion::NewNetwork { network: network.to_string() }),
        Sign::Denied(denied) => What::Suspicious(Suspicion::DeniedBurst { denied: *denied }),
        Sign::UsedAfterRevocation => What::Suspicious(Suspicion::UsedAfterRevocation),
        Sign::Volume { requests, usual } => {
            What::Suspicious(Suspicion::SuddenVolume { requests: *requests, usual: *usual })
        }
        Sign::LimitExceeded(name) => What::LimitExceeded { limit: name.to_string() },
        Sign::QuotaExceeded { name, .. } => What::QuotaExceeded { limit: name.to_string() },
    }
}
