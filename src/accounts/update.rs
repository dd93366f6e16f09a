use super::{Accounts, must_keep_a_root, must_reach, names_must_be_free};
use crate::{
    domain::{
        account::{Scope, ServiceAccount, ServiceAccountPatch},
        act::Act,
        id::{Revision, ServiceAccountId},
        refusal::Refusal,
    },
    replica::Patience,
};

/// New values for some fields of an account.
#[derive(Debug, Clone)]
pub struct UpdateServiceAccount {
    pub service_account_id: ServiceAccountId,
    pub patch: ServiceAccountPatch,
    /// Empty: whatever it is now.
    pub etag: String,
}

impl Accounts {
    /// Changes an account; to disable it is to change it. When this returns OK, every
    /// replica refuses what the account may no longer do, and its streams have ended.
    pub async fn update(
        &self,
        act: Act,
        update: UpdateServiceAccount,
        patience: Patience,
    ) -> Result<(ServiceAccount, Revision), Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                let before = tx.account(update.service_account_id).await?;
                must_reach(tx.actor()?, &before)?;
                before.revision.must_match(&update.etag)?;
                let mut after = before.clone();
                let changed = after.update(update.patch, tx.now());
                if !changed {
                    return Ok((after, false));
                }
                must_reach(tx.actor()?, &after)?;
                if after.certificate_names != before.certificate_names {
                    names_must_be_free(&tx, &after).await?;
                }
                if let Scope::Only(applications) = &after.scope {
                    for application in applications {
                        tx.application(*application).await?;
                    }
                }
                must_keep_a_root(&tx, &before, &after).await?;
                tx.save_account(Some(before), after.clone());
                Ok((after, true))
            })
            .await?;
        self.replica.confirm_change(committed, patience).await
    }
}
