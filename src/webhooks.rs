//! What can be done with webhooks: one file a call.

mod create;
mod delete;
mod deliveries;
mod get;
mod list;
mod rotate;
mod test;
mod update;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use create::{Made, NewWebhook};
pub use delete::DeleteWebhook;
pub use deliveries::ListWebhookDeliveries;
pub use list::ListWebhooks;
pub use rotate::RotateWebhookSecret;
pub use test::{TestWebhook, Tested};
pub use update::UpdateWebhook;

use crate::{
    auth::Caller,
    domain::{
        account::{Scope, ServiceAccount},
        id::{ApplicationId, WebhookId},
        refusal::{Refusal, Violations},
        webhook::{Sealed, WebhookUrl},
    },
    entropy::Entropy,
    index::Index,
    notify::{Messenger, secret::Secret},
    replica::Replica,
    store::{Error, Store, Tx},
};

/// Those who are told.
#[derive(Debug)]
pub struct Webhooks {
    store: Store,
    index: Arc<Index>,
    replica: Replica,
    entropy: Entropy,
    messenger: Messenger,
    /// Places for those who wait for the answer to a test.
    tests: Semaphore,
}

const TESTS: usize = 16;

impl Webhooks {
    #[must_use]
    pub fn new(store: Store, index: Arc<Index>, replica: Replica, entropy: Entropy, messenger: Messenger) -> Self {
        Self { store, index, replica, entropy, messenger, tests: Semaphore::new(TESTS) }
    }

    /// A new secret, and as it is stored for this webhook.
    fn new_secret(&self, of: WebhookId) -> Result<(Secret, Sealed), Refusal> {
        let secret = Secret::new(self.entropy.key_material().map_err(Error::from)?);
        let sealed = self.messenger.seal(of, &secret, &self.entropy)?;
        Ok((secret, sealed))
    }

    /// What the operator does not allow is said to whoever asks for it, not at midnight in a log.
    fn must_be_within_reach(&self, url: &WebhookUrl) -> Result<(), Refusal> {
        let refused = |error| Refusal::FieldInvalid(Violations::one("webhook.url", error));
        self.messenger.reach().check(url).map_err(refused)
    }
}

/// The caller, if it may administer what is told of this application; of all of them, if
/// none is named.
fn actor_of(tx: &Tx, application: Option<ApplicationId>) -> Result<&ServiceAccount, Refusal> {
    match application {
        Some(id) => tx.actor_in(id),
        None => tx.actor().and_then(|actor| is_everywhere(&actor.scope).map(|()| actor)),
    }
}

fn must_see(caller: &Caller, application: Option<ApplicationId>) -> Result<(), Refusal> {
    match application {
        Some(id) => caller.must_see(id),
        None => is_everywhere(caller.scope()),
    }
}

fn is_everywhere(scope: &Scope) -> Result<(), Refusal> {
    if *scope == Scope::All { Ok(()) } else { Err(Refusal::ApplicationOutOfScope) }
}
