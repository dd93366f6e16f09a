use super::{Webhooks, actor_of};
use crate::{
    domain::{
        act::Act,
        event::Changed,
        id::{ApplicationId, Revision, WebhookId},
        refusal::Refusal,
        webhook::{Webhook, WebhookPatch},
    },
    replica::Patience,
};

/// New values for some fields of a webhook.
#[derive(Debug, Clone)]
pub struct UpdateWebhook {
    pub application_id: Option<ApplicationId>,
    pub webhook_id: WebhookId,
    pub patch: WebhookPatch,
    /// Empty: whatever it is now.
    pub etag: String,
}

impl Webhooks {
    pub async fn update(
        &self,
        act: Act,
        update: UpdateWebhook,
        patience: Patience,
    ) -> Result<(Webhook, Revision), Refusal> {
        if let Some(url) = &update.patch.url {
            self.must_be_within_reach(url)?;
        }
        let committed = self
            .store
            .write(act, async move |tx| {
                actor_of(&tx, update.application_id)?;
                let before = tx.webhook(update.application_id, update.webhook_id).await?;
                before.revision.must_match(&update.etag)?;
                let mut after = before.clone();
                match after.update(update.patch, tx.now()) {
                    Changed::No => Ok((after, false)),
                    Changed::Yes(_) => {
                        tx.save_webhook(Some(before), Some(after.clone()));
                        Ok((after, true))
                    }
                }
            })
            .await?;
        self.replica.confirm_change(committed, patience).await
    }
}
