use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, Revision},
        page::{Page, PageRequest},
        refusal::Refusal,
        usage::UsedKey,
    },
    store::KeyFilter,
};

/// Which keys are wanted.
#[derive(Debug, Clone)]
pub struct ListKeys {
    pub application_id: ApplicationId,
    pub filter: KeyFilter,
    pub page: PageRequest,
}

impl Keys {
    /// A page of the keys of an application, oldest first.
    pub async fn list(&self, caller: &Caller, list: ListKeys) -> Result<(Page<UsedKey>, Revision), Refusal> {
        caller.must_see(list.application_id)?;
        let now = self.replica.now();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListKeys { application_id, filter, page } = list;
                snapshot.application(application_id).await?;
                let keys = snapshot.keys(application_id, &filter, &page, now).await?;
                let Page { items, next_page_token } = page.page(keys, |key| key.id.to_string());
                let items = snapshot.used(application_id, items, now).await?;
                Ok((Page { items, next_page_token }, snapshot.revision()))
            })
            .await
    }
}
