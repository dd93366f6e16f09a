//! What can be done with keys: one file a call.

mod cache_ttl;
mod create;
mod get;
mod import;
mod list;
mod rate_limit;
mod report_leaked;
mod reports;
mod revoke;
mod rotate;
mod sealed_secret;
mod update;
mod usage;
mod verify;

use std::sync::Arc;

pub use create::{Created, Expiration, NewKey};
pub use import::{ImportKeys, Imported, ImportedKey};
pub use list::ListKeys;
pub use rate_limit::{GetRateLimit, RateLimits};
pub use report_leaked::ReportLeaked;
use reports::Reports;
pub use revoke::RevokeKey;
pub use rotate::{RotateKey, Rotated};
pub use sealed_secret::{GetSealedSecret, Sealed};
pub(crate) use sealed_secret::{close_overlap_before, recipient};
pub use update::UpdateKey;
pub use usage::{GetKeyUsage, UsageReport};
pub use verify::{Answer, Subject, VerifyKey};

use crate::{
    domain::{
        account::ServiceAccount,
        key::Key,
        permission::Permission,
        refusal::{Refusal, Violations},
        time::Timestamp,
    },
    entropy::Entropy,
    guard::{self, Guard},
    index::Index,
    limits::Budgets,
    replica::Replica,
    signals::Signals,
    store::{Store, Tx},
    usage::Usage,
};

/// The keys of all applications.
#[derive(Debug)]
pub struct Keys {
    store: Store,
    index: Arc<Index>,
    replica: Replica,
    budgets: Arc<Budgets>,
    usage: Usage,
    signals: Signals,
    reports: Reports,
    entropy: Entropy,
}

impl Keys {
    #[must_use]
    pub fn new(
        store: Store,
        index: Arc<Index>,
        replica: Replica,
        budgets: Arc<Budgets>,
        usage: Usage,
        signals: Signals,
        entropy: Entropy,
    ) -> Self {
        Self { store, index, replica, budgets, usage, signals, reports: Reports::default(), entropy }
    }
}

/// A key ends in the future or not at all: to end it now is to revoke it.
fn must_be_ahead(field: &str, expire_time: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match expire_time {
        Some(at) if at <= now => {
            let what = format!("must be after now, {now}; to end a key now, revoke or disable it");
            Err(Refusal::FieldInvalid(Violations::one(field, what)))
        }
        _ => Ok(()),
    }
}

/// Who gets a key's text must be able to grant all that it is good for.
fn must_grant(actor: &ServiceAccount, permissions: &[Permission]) -> Result<(), Refusal> {
    match permissions.iter().find(|permission| !actor.may_grant(permission)) {
        Some(permission) if guard::on(Guard::Grant) => {
            Err(Refusal::GrantExceeded(format!("the permission {permission}")))
        }
        _ => Ok(()),
    }
}

/// Whoever is handed a key's next secret must be somebody who may see its application.
async fn recipient_must_see(key: &Key, field: &str, tx: &Tx) -> Result<(), Refusal> {
    let names_one = key.upkeep.rotation.as_ref().is_some_and(|rotation| rotation.recipient.is_some());
    if !names_one || recipient(key, tx).await?.is_some() {
        return Ok(());
    }
    let what = "is not a key of a service account that is enabled and has this application in its scope";
    Err(Refusal::FieldInvalid(Violations::one(&format!("{field}rotation_recipient_kid"), what)))
}
