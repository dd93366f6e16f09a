use super::{Webhooks, must_see};
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, Revision, WebhookId},
        refusal::Refusal,
        time::Timestamp,
        webhook::Webhook,
    },
};

impl Webhooks {
    pub async fn get(
        &self,
        caller: &Caller,
        application: Option<ApplicationId>,
        id: WebhookId,
    ) -> Result<(Webhook, Revision), Refusal> {
        must_see(caller, application)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                Ok((snapshot.webhook(application, id).await?, snapshot.revision()))
            })
            .await
    }

    /// As of when webhooks are shown.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.replica.now()
    }
}
