use super::{Webhooks, must_see};
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, Revision},
        page::{Page, PageRequest},
        refusal::Refusal,
        webhook::Webhook,
    },
};

/// Which webhooks are wanted.
#[derive(Debug, Clone)]
pub struct ListWebhooks {
    pub application_id: Option<ApplicationId>,
    pub page: PageRequest,
}

impl Webhooks {
    /// A page of those of an application, or of all applications together, oldest first.
    pub async fn list(&self, caller: &Caller, list: ListWebhooks) -> Result<(Page<Webhook>, Revision), Refusal> {
        must_see(caller, list.application_id)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListWebhooks { application_id, page } = list;
                if let Some(application) = application_id {
                    snapshot.application(application).await?;
                }
                let webhooks = snapshot.webhooks(application_id, &page).await?;
                Ok((page.page(webhooks, |webhook| webhook.id.to_string()), snapshot.revision()))
            })
            .await
    }
}
