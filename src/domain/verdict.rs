//! The decision: is this key good for this request? A pure function of the key, the
//! facts of the request, and the time.

use std::{net::IpAddr, sync::Arc};

use super::{
    balance::{Balance, exceeded},
    id::{ApplicationId, KeyId},
    key::{KeyEnvironment, KeyType},
    limit::Limits,
    lineage::Successor,
    network::IpRange,
    permission::{Permission, all_covered},
    referrer::{Origin, ReferrerRule},
    resource::{Resource, ResourceRule},
    restriction::{Restrictions, admits},
    text::Label,
    time::Timestamp,
};
use crate::guard::{self, Guard};

/// What the decision rests on: all of a key that Verify needs, as the index keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    pub id: KeyId,
    pub application_id: ApplicationId,
    pub name: Arc<str>,
    pub kind: KeyType,
    pub environment: KeyEnvironment,
    pub permissions: Arc<[Permission]>,
    pub restrictions: Arc<Restrictions>,
    pub limits: Arc<Limits>,
    pub labels: Arc<[Label]>,
    pub expire_time: Option<Timestamp>,
    /// It was told that it expired, which holds whatever a clock says.
    pub expired: bool,
    pub disabled: bool,
    pub revoked: bool,
    /// Whose limits and quotas it spends: the first key of its chain.
    pub chain: KeyId,
    pub successor: Option<Box<Successor>>,
}

#[cfg(test)]
impl KeyFacts {
    /// Of a key that nothing is said about.
    pub(crate) fn plain(id: KeyId, application_id: ApplicationId) -> Self {
        Self {
            id,
            application_id,
            name: "k".into(),
            kind: KeyType::Secret,
            environment: KeyEnvironment::Live,
            permissions: [].into(),
            restrictions: Arc::default(),
            limits: Arc::default(),
            labels: [].into(),
            expire_time: None,
            expired: false,
            disabled: false,
            revoked: false,
            chain: id,
            successor: None,
        }
    }
}

/// What the verifier knows of the request. What it does not know is `None`, and is not
/// guessed: a key that is restricted in it is refused.
#[derive(Debug, Clone)]
pub struct Facts {
    pub environment: KeyEnvironment,
    pub required_permissions: Vec<Permission>,
    pub client_ip: Option<IpAddr>,
    pub referrer: Option<Origin>,
    pub resource: Option<Resource>,
}

/// In order of precedence. Only `Valid` admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Valid,
    Malformed,
    NotFound,
    Revoked,
    Expired,
    Disabled,
    EnvironmentNotAllowed,
    PermissionMissing,
    IpNotAllowed,
    ReferrerNotAllowed,
    ResourceNotAllowed,
    RateLimited,
    QuotaExceeded,
}

impl Verdict {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::Valid,
        Self::Malformed,
        Self::NotFound,
        Self::Revoked,
        Self::Expired,
        Self::Disabled,
        Self::EnvironmentNotAllowed,
        Self::PermissionMissing,
        Self::IpNotAllowed,
        Self::ReferrerNotAllowed,
        Self::ResourceNotAllowed,
        Self::RateLimited,
        Self::QuotaExceeded,
    ];
}

/// Every check that can fail on a key that was found, but for its limits, in order: the state of the
/// key before what it is asked for, so that a dead key says so whatever it was asked for.
const CHECKS: [Verdict; 8] = [
    Verdict::Revoked,
    Verdict::Expired,
    Verdict::Disabled,
    Verdict::EnvironmentNotAllowed,
    Verdict::PermissionMissing,
    Verdict::IpNotAllowed,
    Verdict::ReferrerNotAllowed,
    Verdict::ResourceNotAllowed,
];

/// All that is wrong, in order. Lazy: who wants the first pays for the first. `balances` is
/// how the key's limits stand for this call; none of them before they are asked about, since
/// what is wrong before limits spends nothing.
pub fn failing(key: &KeyFacts, facts: &Facts, balances: &[Balance], now: Timestamp) -> impl Iterator<Item = Verdict> {
    let checks = CHECKS.into_iter().filter(move |check| fails(*check, key, facts, now));
    checks.chain(std::iter::once_with(|| exceeded(balances)).flatten())
}

/// Decides over a key that was found: the first thing that is wrong, or VALID.
#[must_use]
pub fn decide(key: &KeyFacts, facts: &Facts, balances: &[Balance], now: Timestamp) -> Verdict {
    failing(key, facts, balances, now).next().unwrap_or(Verdict::Valid)
}

fn fails(check: Verdict, key: &KeyFacts, facts: &Facts, now: Timestamp) -> bool {
    let Restrictions { ip_ranges, referrers, resources } = &*key.restrictions;
    match check {
        Verdict::Revoked => key.revoked || is_over(key, now),
        Verdict::Expired => is_told_expired(key) || key.expire_time.is_some_and(|at| at <= now),
        Verdict::Disabled => key.disabled,
        Verdict::EnvironmentNotAllowed => key.environment != facts.environment,
        Verdict::PermissionMissing => !all_covered(&key.permissions, &facts.required_permissions),
        Verdict::IpNotAllowed => !admits(ip_ranges, facts.client_ip, |range: &IpRange, ip| range.holds(ip)),
        Verdict::ReferrerNotAllowed => !admits(referrers, facts.referrer.as_ref(), ReferrerRule::admits),
        Verdict::ResourceNotAllowed => !admits(resources, facts.resource.as_ref(), ResourceRule::admits),
        // Not about a key that was found, or not about the key alone.
        Verdict::Valid | Verdict::Malformed | Verdict::NotFound | Verdict::RateLimited | Verdict::QuotaExceeded => {
            false
        }
    }
}

/// Which holds when a clock is set back, too.
fn is_told_expired(key: &KeyFacts) -> bool {
    key.expired && guard::on(Guard::Expired)
}

/// Whether the time beside its successor is over, be it written down already or not.
fn is_over(key: &KeyFacts, now: Timestamp) -> bool {
    key.successor.as_ref().is_some_and(|next| next.overlap_end_time <= now) && guard::on(Guard::Overlap)
}

#[cfg(test)]
mod tests;
