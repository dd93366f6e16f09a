use std::time::Duration;

use super::Applications;
use crate::{
    domain::{
        account::Scope,
        act::Act,
        alert::AlertThresholds,
        application::{Application, USUAL_OVERLAP},
        email::EmailAddress,
        id::{ApplicationId, Revision},
        limit::Plan,
        notice::LeakPolicy,
        refusal::Refusal,
        secret::KeyPrefix,
        text::Name,
        time::Timestamp,
    },
    replica::Patience,
    store::{CreateRequest, Error},
};

/// An application to be made.
#[derive(Debug, Clone)]
pub struct NewApplication {
    pub name: Name,
    pub plan: Plan,
    pub max_cache_ttl: Duration,
    pub key_prefix: Option<KeyPrefix>,
    pub overlap: Duration,
    pub notify_emails: Vec<EmailAddress>,
    pub leak_policy: LeakPolicy,
    pub alert_thresholds: AlertThresholds,
    pub request: Option<CreateRequest>,
}

impl NewApplication {
    /// Without a plan or anything else.
    #[must_use]
    pub fn named(name: Name) -> Self {
        Self {
            name,
            plan: Plan::None,
            max_cache_ttl: Duration::ZERO,
            key_prefix: None,
            overlap: USUAL_OVERLAP,
            notify_emails: Vec::new(),
            leak_policy: LeakPolicy::default(),
            alert_thresholds: AlertThresholds::default(),
            request: None,
        }
    }

    /// As it is when it begins.
    #[must_use]
    pub fn begin(self, id: ApplicationId, now: Timestamp) -> Application {
        let Self {
            name,
            plan,
            max_cache_ttl,
            key_prefix,
            overlap,
            notify_emails,
            leak_policy,
            alert_thresholds,
            request: _,
        } = self;
        Application {
            id,
            name,
            plan,
            max_cache_ttl,
            key_prefix,
            overlap,
            notify_emails,
            leak_policy,
            alert_thresholds,
            create_time: now,
            update_time: now,
            revision: Revision::default(),
        }
    }
}

impl Applications {
    /// Makes an application. A repeat of the same request makes none and answers the same.
    pub async fn create(
        &self,
        act: Act,
        new: NewApplication,
        patience: Patience,
    ) -> Result<(Application, Revision), Refusal> {
        let entropy = self.entropy.clone();
        let committed = self
            .store
            .write(act, async move |tx| {
                if tx.actor()?.scope != Scope::All {
                    // It would be outside the scope of whoever made it.
                    return Err(Refusal::ApplicationOutOfScope);
                }
                if let Some(made) = tx.made_before(new.request.as_ref()).await? {
                    let id = made.parse().map_err(|_| Refusal::Internal)?;
                    return Ok((tx.application(id).await?, false));
                }
                let request = new.request;
                let id = ApplicationId::new(entropy.uuid(tx.now()).map_err(Error::from)?);
                let application = new.begin(id, tx.now());
                tx.save_application(None, application.clone(), None);
                tx.made(request, id);
                Ok((application, true))
            })
            .await?;
        self.replica.confirm_change(committed, patience).await
    }
}
