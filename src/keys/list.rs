use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, Revision},
        key::Key,
        page::{Page, PageRequest},
        refusal::Refusal,
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
    pub async fn list(&self, caller: &Caller, list: ListKeys) -> Result<(Page<Key>, Revision), Refusal> {
        caller.must_see(list.application_id)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListKeys { application_id, filter, page } = list;
                snapshot.application(application_id).await?;
                let keys = snapshot.keys(application_id, &filter, &page).await?;
                Ok((page.page(keys, |key| key.id.to_string()), snapshot.revision()))
            })
            .await
    }
}
