use super::{Webhooks, must_see};
use crate::{
    auth::Caller,
    domain::{
        delivery::{Delivery, DeliveryFilter},
        id::{ApplicationId, Revision, WebhookId},
        page::{Page, PageRequest},
        refusal::Refusal,
    },
};

/// Which deliveries are wanted.
#[derive(Debug, Clone)]
pub struct ListWebhookDeliveries {
    pub application_id: Option<ApplicationId>,
    pub webhook_id: WebhookId,
    pub filter: DeliveryFilter,
    pub page: PageRequest,
}

impl Webhooks {
    /// A page of what was sent to a webhook and what is to be, oldest first.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        list: ListWebhookDeliveries,
    ) -> Result<(Page<Delivery>, Revision), Refusal> {
        must_see(caller, list.application_id)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListWebhookDeliveries { application_id, webhook_id, filter, page } = list;
                snapshot.webhook(application_id, webhook_id).await?;
                let deliveries = snapshot.deliveries(webhook_id, &filter, &page).await?;
                Ok((page.page(deliveries, |delivery| delivery.number.to_string()), snapshot.revision()))
            })
            .await
    }
}
