use super::{Accounts, get::is_shown};
use crate::{
    auth::Caller,
    domain::{
        account::ServiceAccount,
        id::Revision,
        page::{Page, PageRequest},
        refusal::Refusal,
    },
};

/// Which accounts are wanted.
#[derive(Debug, Clone)]
pub struct ListServiceAccounts {
    pub name_prefix: String,
    pub page: PageRequest,
}

impl Accounts {
    /// A page of those within the caller's scope, oldest first.
    pub async fn list(
        &self,
        caller: &Caller,
        list: ListServiceAccounts,
    ) -> Result<(Page<ServiceAccount>, Revision), Refusal> {
        let caller = caller.clone();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListServiceAccounts { name_prefix, page } = list;
                let mut accounts = snapshot.accounts(&name_prefix).await?;
                accounts.retain(|account| {
                    is_shown(&caller, account)
                        && page.after.as_ref().is_none_or(|after| account.id.to_string() > *after)
                });
                Ok((page.page(accounts, |account| account.id.to_string()), snapshot.revision()))
            })
            .await
    }
}
