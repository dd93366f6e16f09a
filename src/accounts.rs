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
        account::{Role, ServiceAccount},
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

/// An account changes its own keys; those of others need ADMIN and their reach.
fn must_hold_keys_of(actor: &ServiceAccount, account: &ServiceAccount) -> Result<(), Refusal> {
    if actor.id == account.id {
        return Ok(());
    }
    if !actor.has_one_of(&[Role::Admin]) {
        return Err(Refusal::RoleMissing(&[Role::Admin]));
    }
    must_reach(actor, account)
}

/// Refuses a change after which nobody could administer everything.
async fn must_keep_a_root(tx: &Tx, before: &ServiceAccount, after: &ServiceAccount) -> Result<(), Refusal> {
    if !before.is_root() || after.is_root() {
        return Ok(());
    }
    let others = tx.accounts().await?;
    if others.iter().any(|other| other.id != after.id && other.is_root()) { Ok(()) } else { Err(Refusal::LastAdminKey) }
}
