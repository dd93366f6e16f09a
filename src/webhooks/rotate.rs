use std::time::Duration;

use super::{Made, Webhooks, actor_of};
use crate::{
    domain::{
        act::Act,
        id::{ApplicationId, Revision, WebhookId},
        refusal::Refusal,
    },
    replica::Patience,
    store::CreateRequest,
};

/// A webhook that is to sign with another secret.
#[derive(Debug, Clone)]
pub struct RotateWebhookSecret {
    pub application_id: Option<ApplicationId>,
    pub webhook_id: WebhookId,
    /// How long the one from before signs too.
    pub overlap: Duration,
    /// Empty: whatever it is now.
    pub etag: String,
    pub request: Option<CreateRequest>,
}

impl Webhooks {
    pub async fn rotate(
        &self,
        act: Act,
        rotate: RotateWebhookSecret,
        patience: Patience,
    ) -> Result<(Made, Revision), Refusal> {
        let (secret, sealed) = self.new_secret(rotate.webhook_id)?;
        let committed = self
            .store
            .write(act, async move |tx| {
                actor_of(&tx, rotate.application_id)?;
                if tx.made_before(rotate.request.as_ref()).await?.is_some() {
                    return Err(Refusal::WebhookSecretAlreadyReturned(rotate.webhook_id));
                }
                let before = tx.webhook(rotate.application_id, rotate.webhook_id).await?;
                before.revision.must_match(&rotate.etag)?;
                let mut webhook = before.clone();
                webhook.rotate(sealed, rotate.overlap, tx.now());
                tx.save_webhook(Some(before), Some(webhook.clone()));
                tx.made(rotate.request, webhook.id);
                Ok(Made { webhook, secret })
            })
            .await?;
        let (mut made, revision) = self.replica.confirm(committed, patience).await?;
        made.webhook.revision = revision;
        Ok((made, revision))
    }
}
