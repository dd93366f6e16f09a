use super::Applications;
use crate::{
    auth::Caller,
    domain::{
        application::Application,
        id::Revision,
        page::{Page, PageRequest},
        refusal::Refusal,
    },
};

/// Which applications are wanted.
#[derive(Debug, Clone)]
pub struct ListApplications {
    pub name_prefix: String,
    pub page: PageRequest,
}

impl Applications {
    /// A page of those in the caller's scope, oldest first.
    pub async fn list(
        &self,
        caller: &Caller,
        list: ListApplications,
    ) -> Result<(Page<Application>, Revision), Refusal> {
        let scope = caller.scope().clone();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListApplications { name_prefix, page } = list;
                let applications = snapshot.applications(&scope, &name_prefix, &page).await?;
                Ok((page.page(applications, |application| application.id.to_string()), snapshot.revision()))
            })
            .await
    }
}
