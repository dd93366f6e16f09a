//! What can be done with service accounts: one file a call.

mod add_key;
mod create;
mod get;
mod list;
mod remove_key;
mod update;

use std::sync::Arc;

pub use create::NewServiceAccount;
pub use list::ListServiceAccounts;
pub use update::UpdateServiceAccount;

use crate::{
    domain::{
        account::{Role, Scope, ServiceAccount},
        id::ServiceAccountId,
        refusal::Refusal,
    },
    entropy::Entropy,
    guard::{self, Guard},
    index::Index,
    replica::Replica,
    store::{Store, Tx},
};

/// The callers.
#[derive(Debug)]
pub struct Accounts {
    store: Store,
    index: Arc<Index>,
    replica: Replica,
    entropy: Entropy,
}

impl Accounts {
    #[must_use]
    pub fn new(store: Store, index: Arc<Index>, replica: Replica, entropy: Entropy) -> Self {
        Self { store, index, replica, entropy }
    }
}

/// Nobody hands out more than they have, nor changes an account that has more: adding a
/// key of one's own to a greater account is becoming it.
fn must_reach(actor: &ServiceAccount, account: &ServiceAccount) -> Result<(), Refusal> {
    if guard::on(Guard::Grant) { actor.must_reach(account) } else { Ok(()) }
}

/// An account whose keys the caller may change: the caller's own, or with ADMIN one within
/// reach. The role is asked for first: without it nobody learns which accounts there are.
async fn whose_keys_may_change(tx: &Tx, id: ServiceAccountId) -> Result<ServiceAccount, Refusal> {
    let actor = tx.actor()?;
    if actor.id != id && !actor.has_one_of(&[Role::Admin]) {
        return Err(Refusal::RoleMissing(&[Role::Admin]));
    }
    let account = tx.account(id).await?;
    if actor.id != id {
        must_reach(actor, &account)?;
    }
    Ok(account)
}

/// Refuses a name of client certificates that another account has: nobody becomes somebody else by
/// it. Mutations come one after the other, so none gets in between.
async fn names_must_be_free(tx: &Tx, account: &ServiceAccount) -> Result<(), Refusal> {
    if account.certificate_names.is_empty() {
        return Ok(());
    }
    // Names are one space for all tenants: whoever claims one may have another's workload for an account.
    if tx.actor()?.scope != Scope::All {
        return Err(Refusal::GrantExceeded("names of client certificates, which are of no application".to_owned()));
    }
    let has_one = |other: &ServiceAccount| !other.certificate_names.is_disjoint(&account.certificate_names);
    let accounts = tx.accounts().await?;
    match accounts.into_iter().find(|other| other.id != account.id && has_one(other)) {
        Some(other) => Err(Refusal::CertificateNameTaken(other.id)),
        None => Ok(()),
    }
}

/// Refuses a change after which nobody could administer everything.
async fn must_keep_a_root(tx: &Tx, before: &ServiceAccount, after: &ServiceAccount) -> Result<(), Refusal> {
    if !before.is_root() || after.is_root() {
        return Ok(());
    }
    let others = tx.accounts().await?;
    if others.iter().any(|other| other.id != after.id && other.is_root()) { Ok(()) } else { Err(Refusal::LastAdminKey) }
}
