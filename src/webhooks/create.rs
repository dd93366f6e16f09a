use super::{Webhooks, actor_of};
use crate::{
    domain::{
        act::Act,
        id::{ApplicationId, Revision, WebhookId},
        refusal::Refusal,
        text::Note,
        webhook::{Disabled, EventType, MAX_WEBHOOKS, Webhook, WebhookUrl},
    },
    notify::secret::Secret,
    replica::Patience,
    store::{CreateRequest, Error},
};

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub application_id: Option<ApplicationId>,
    pub url: WebhookUrl,
    pub event_types: Vec<EventType>,
    pub description: Note,
    pub disabled: bool,
    pub request: Option<CreateRequest>,
}

/// A webhook, and the only copy of its new secret.
#[derive(Debug)]
pub struct Made {
    pub webhook: Webhook,
    pub secret: Secret,
}

impl Webhooks {
    /// Makes a webhook.
    pub async fn create(&self, act: Act, new: NewWebhook, patience: Patience) -> Result<(Made, Revision), Refusal> {
        self.must_be_within_reach(&new.url)?;
        let id = WebhookId::new(self.entropy.uuid(self.replica.now()).map_err(Error::from)?);
        let (secret, sealed) = self.new_secret(id)?;
        let committed = self
            .store
            .write(act, async move |tx| {
                actor_of(&tx, new.application_id)?;
                if let Some(made) = tx.made_before(new.request.as_ref()).await? {
                    let id = made.parse().map_err(|_| Refusal::Internal)?;
                    return Err(Refusal::WebhookSecretAlreadyReturned(id));
                }
                if let Some(application) = new.application_id {
                    tx.application(application).await?;
                }
                if tx.webhook_count(new.application_id).await? >= MAX_WEBHOOKS {
                    return Err(Refusal::TooManyWebhooks(MAX_WEBHOOKS));
                }
                let webhook = Webhook {
                    id,
                    application_id: new.application_id,
                    url: new.url,
                    event_types: new.event_types,
                    description: new.description,
                    disabled: new.disabled.then_some(Disabled::Administrator),
                    secret: sealed,
                    old_secret: None,
                    create_time: tx.now(),
                    update_time: tx.now(),
                    revision: Revision::default(),
                };
                tx.save_webhook(None, Some(webhook.clone()));
                tx.made(new.request, id);
                Ok(Made { webhook, secret })
            })
            .await?;
        let (mut made, revision) = self.replica.confirm(committed, patience).await?;
        made.webhook.revision = revision;
        Ok((made, revision))
    }
}
