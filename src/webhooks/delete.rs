use super::{Webhooks, actor_of};
use crate::{
    domain::{
        act::Act,
        id::{ApplicationId, Revision, WebhookId},
        refusal::Refusal,
    },
    replica::Patience,
};

/// A webhook to be deleted.
#[derive(Debug, Clone)]
pub struct DeleteWebhook {
    pub application_id: Option<ApplicationId>,
    pub webhook_id: WebhookId,
    /// Empty: whatever it is now.
    pub etag: String,
}

impl Webhooks {
    pub async fn delete(&self, act: Act, delete: DeleteWebhook, patience: Patience) -> Result<Revision, Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                actor_of(&tx, delete.application_id)?;
                let webhook = tx.webhook(delete.application_id, delete.webhook_id).await?;
                webhook.revision.must_match(&delete.etag)?;
                tx.save_webhook(Some(webhook), None);
                Ok(())
            })
            .await?;
        let ((), revision) = self.replica.confirm(committed, patience).await?;
        Ok(revision)
    }
}
