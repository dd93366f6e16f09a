//! What was found in the calls of keys, against what is known and what was told: who
//! finds the same on two replicas, or twice, tells it once.

mod alerts;
mod ceiling;
mod networks;

use std::sync::Arc;

use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait, TransactionTrait as _};

pub(super) use alerts::{Claim, Claimed, claim};
use networks::Met;

use super::{
    Error, Store, applications, codec,
    entity::{alert, key_network},
    keys,
    notices::Written,
    usage,
};
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

/// Hours that are ended in one transaction.
const SETTLED: u64 = 20;
/// As long as a quota's period, and a little.
const ALERTS_KEPT: std::time::Duration = std::time::Duration::from_hours(40 * 24);

impl Store {
    /// Notes findings in one transaction, and tells in their order: teaches networks, and writes
    /// what is to be told beside that. Rows are locked table by table and in one order in each,
    /// so that two that note at the same time never wait for each other.
    pub async fn note_findings(&self, findings: Arc<[Finding]>) -> Result<Vec<Noted>, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            let now = store.time(&tx).await?;
            let mut noted = vec![Noted::Quiet(None); findings.len()];
            let new = learn(&tx, &findings, now).await?;
            let mut keys = Vec::with_capacity(new.len());
            for (at, finding) in new {
                if let Some(key) = wanted_key(&tx, finding, now).await? {
                    keys.push((at, finding, key));
                }
            }
            keys.sort_by_cached_key(|(at, finding, _)| (alert_row(finding), *at));
            let mut notices = Vec::with_capacity(keys.len());
            for (at, finding, key) in keys {
                match notice(&tx, finding, &key, now).await? {
                    Ok(notice) => notices.push((at, notice)),
                    Err(quiet) => noted[at] = quiet,
                }
            }
            notices.sort_by_cached_key(|(at, notice)| (notice.application_id.clone(), notice.kind.clone(), *at));
            let mut told = Vec::with_capacity(notices.len());
            for (at, notice) in notices {
                let mut ours = Vec::new();
                noted[at] = ceiling::pass(&tx, notice, now, &mut ours).await?;
                told.push((at, ours));
            }
            told.sort_by_key(|(at, _)| *at);
            let told: Vec<_> = told.into_iter().flat_map(|(_, ours)| ours).collect();
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
        let mut told = 0;
        // Mostly there is nothing, and to look takes no turn. Whoever settles a row takes it away.
        while self.has_held_back().await?
            && let Some(some) = self.tell_some_held_back().await?
        {
            told += some;
        }
        Ok(told)
    }

    async fn has_held_back(&self) -> Result<bool, Error> {
        self.detached(async move |store| {
            let looks = store.looks();
            let now = store.time(&looks).await?;
            ceiling::is_over(&looks, now).await
        })
        .await
    }

    /// `None`: another is about to.
    async fn tell_some_held_back(&self) -> Result<Option<u64>, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            let now = store.time(&tx).await?;
            let some = ceiling::some_over(&tx, now, SETTLED).await?;
            if some.is_empty() {
                tx.rollback().await?;
                return Ok(None);
            }
            let mut told = Vec::new();
            for row in some {
                ceiling::settle(&tx, row, &mut told).await?;
            }
            let count = told.len() as u64;
            store.tell_written(&tx, now, told).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            if count > 0 {
                store.inner.told.notify_one();
            }
            Ok(Some(count))
        })
        .await
    }

    /// The calls of a key in the hour of `now`, and in the busiest one of the week before.
    pub async fn volume(&self, whose: Whose, now: Timestamp) -> Result<(u64, u64), Error> {
        self.detached(async move |store| {
            let hour = UsageUnit::Hour.start(now);
            let range =
                UsageRange { unit: UsageUnit::Hour, start: hour.saturating_sub(LOOK_BACK), end: Timestamp::MAX };
            // To watch must not keep calls waiting that read.
            let tx = store.looks().begin().await?;
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
        let networks = self.forget::<key_network::Entity>(key_network::Column::LastTime, networks::old(now)).await?;
        let old = alert::Column::LastTime.lt(now.saturating_sub(ALERTS_KEPT).micros());
        Ok(networks + self.forget::<alert::Entity>(alert::Column::LastTime, Condition::all().add(old)).await?)
    }
}

/// Which row of networks a finding writes.
fn network_row(finding: &Finding) -> (String, String) {
    let network = if let Sign::Network(network) = finding.sign { network.to_string() } else { String::new() };
    (finding.chain.to_string(), network)
}

/// Which row of alerts it writes.
fn alert_row(finding: &Finding) -> (String, &'static str, String) {
    (finding.subject().to_string(), finding.sign.kind(), finding.sign.detail().to_owned())
}

/// Learns all networks; answers the findings that are no network which was known, and their places.
async fn learn<'a>(
    db: &impl ConnectionTrait,
    findings: &'a [Finding],
    now: Timestamp,
) -> Result<Vec<(usize, &'a Finding)>, Error> {
    let mut all: Vec<(usize, &Finding)> = findings.iter().enumerate().collect();
    all.sort_by_cached_key(|(_, finding)| network_row(finding));
    let (mut new, mut begun) = (Vec::with_capacity(all.len()), Vec::new());
    for (at, finding) in all {
        if let Sign::Network(network) = finding.sign {
            match networks::meet(db, finding.chain, network, now).await? {
                Met::Known => continue,
                Met::New => {}
                Met::First => begun.push(finding.chain),
            }
        }
        new.push((at, finding));
    }
    for chain in begun {
        // Not the first that was learned, but the one that was found first.
        let is_its = |finding: &Finding| finding.chain == chain && matches!(finding.sign, Sign::Network(_));
        let first = new.iter().filter(|(_, finding)| is_its(finding)).map(|(at, _)| *at).min();
        new.retain(|(at, _)| Some(*at) != first);
    }
    Ok(new)
}

/// The key, if somebody wants to hear of it.
async fn wanted_key(db: &impl ConnectionTrait, finding: &Finding, now: Timestamp) -> Result<Option<Key>, Error> {
    let Some(key) = keys::find(db, finding.application_id, finding.key_id).await? else { return Ok(None) };
    Ok(is_wanted(db, finding, &key, now).await?.then_some(key))
}

/// What is to be told, unless it was told not long ago.
async fn notice(
    db: &impl ConnectionTrait,
    finding: &Finding,
    key: &Key,
    now: Timestamp,
) -> Result<Result<Written, Noted>, Error> {
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
            return Ok(Err(Noted::Quiet(last_time.checked_add(wait))));
        }
    };
    let notice = Written::of(&Notice::of(key, what(sign)), now);
    Ok(Ok(Written { payload: codec::with_held_back(notice.payload, held), ..notice }))
}

/// Whether the application wants to hear of it at all.
async fn is_wanted(db: &impl ConnectionTrait, finding: &Finding, key: &Key, now: Timestamp) -> Result<bool, Error> {
    match finding.sign {
        Sign::Network(_) => {
            let application = applications::find(db, finding.application_id).await?;
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
