use super::{Accounts, must_keep_a_root, whose_keys_may_change};
use crate::{
    domain::{
        account::ServiceAccount,
        act::Act,
        id::{Revision, ServiceAccountId},
        refusal::Refusal,
    },
    replica::Patience,
    signing::Kid,
};

impl Accounts {
    /// Takes a public key away. When this returns OK, every replica refuses its
    /// signatures, and the streams that it opened have ended. A key that is not there is
    /// NOT_FOUND, also only once every replica says so: a repeat after a lost answer waits.
    pub async fn remove_key(
        &self,
        act: Act,
        id: ServiceAccountId,
        kid: Kid,
        patience: Patience,
    ) -> Result<(ServiceAccount, Revision), Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                let before = whose_keys_may_change(&tx, id).await?;
                if before.key(&kid).is_none() {
                    return Ok(None);
                }
                let mut after = before.clone();
                after.keys.retain(|key| key.kid != kid);
                after.update_time = tx.now();
                must_keep_a_root(&tx, &before, &after).await?;
                tx.save_account(Some(before), after.clone());
                Ok(Some(after))
            })
            .await?;
        let (account, revision) = self.replica.confirm(committed, patience).await?;
        let mut account = account.ok_or(Refusal::ServiceAccountKeyNotFound)?;
        account.revision = revision;
        Ok((account, revision))
    }
}
