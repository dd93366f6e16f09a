//! What the operator does beside the database, before anybody can sign a call: the first
//! admin, and the first application of `portcullis dev`.

use std::collections::BTreeSet;

use crate::{
    accounts::NewServiceAccount,
    applications::NewApplication,
    clock::Clock,
    domain::{
        account::{AccountKey, Role, Scope, ServiceAccount},
        act::Act,
        application::Application,
        id::{ApplicationId, ServiceAccountId},
        permission::Permission,
        refusal::Refusal,
        text::Name,
    },
    entropy::{Entropy, NoEntropy},
    signing::PublicKey,
    store::{Error, Store},
};

/// The id of an account to be made: its credentials can be on disk before it exists, so
/// that no crash leaves an admin whose key nobody has.
pub fn account_id(clock: &Clock, entropy: &Entropy) -> Result<ServiceAccountId, NoEntropy> {
    entropy.uuid(clock.now()).map(ServiceAccountId::new)
}

/// Makes an account that may do everything, with one key. The database must be open by
/// nobody else; SQLite's lock sees to that.
pub async fn admin(
    store: &Store,
    command: &'static str,
    id: ServiceAccountId,
    name: Name,
    key: PublicKey,
) -> Result<ServiceAccount, Refusal> {
    let committed = store
        .write(Act::operator(command), async move |tx| {
            let new = NewServiceAccount {
                name,
                roles: BTreeSet::from([Role::Admin]),
                scope: Scope::All,
                grantable: vec![Permission::full()],
                certificate_names: BTreeSet::new(),
                disabled: false,
                request: None,
            };
            let mut account = new.begin(id, tx.now());
            account.keys.push(AccountKey {
                kid: key.kid().clone(),
                public_key_pem: key.to_pem().to_owned(),
                create_time: tx.now(),
            });
            tx.save_account(None, account.clone());
            Ok(account)
        })
        .await?;
    Ok(committed.alone())
}

/// Whether somebody can administer everything already.
pub async fn has_admin(store: &Store) -> Result<bool, Error> {
    Ok(store.load(drop).await?.accounts.iter().any(ServiceAccount::is_root))
}

/// The application of this name, made if there is none.
pub async fn application(
    store: &Store,
    entropy: &Entropy,
    command: &'static str,
    name: Name,
) -> Result<Application, Refusal> {
    let known = store.load(drop).await?.applications.into_iter().filter(|known| known.name == name);
    if let Some(oldest) = known.min_by_key(|known| known.id) {
        return Ok(oldest);
    }
    let entropy = entropy.clone();
    let committed = store
        .write(Act::operator(command), async move |tx| {
            let id = ApplicationId::new(entropy.uuid(tx.now()).map_err(Error::from)?);
            let application = NewApplication::named(name).begin(id, tx.now());
            tx.save_application(None, application.clone(), None);
            Ok(application)
        })
        .await?;
    Ok(committed.alone())
}
