use super::Accounts;
use crate::{
    auth::Caller,
    domain::{
        account::{Role, ServiceAccount},
        id::{Revision, ServiceAccountId},
        refusal::Refusal,
    },
};

impl Accounts {
    /// One account; one with more than the caller's scope does not exist for it.
    pub async fn get(&self, caller: &Caller, id: ServiceAccountId) -> Result<(ServiceAccount, Revision), Refusal> {
        let caller = caller.clone();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let account = snapshot.account(id).await?;
                if !is_shown(&caller, &account) {
                    return Err(Refusal::ServiceAccountNotFound);
                }
                Ok((account, snapshot.revision()))
            })
            .await
    }
}

/// To a caller who has the role for it.
pub(super) fn is_shown(caller: &Caller, account: &ServiceAccount) -> bool {
    caller.account().id == account.id || caller.scope().holds_all_of(&account.scope)
}

/// Where the role was not asked for.
pub(super) fn is_shown_to(actor: &ServiceAccount, account: &ServiceAccount) -> bool {
    actor.has_one_of(&[Role::Viewer, Role::Editor]) && actor.scope.holds_all_of(&account.scope)
}
