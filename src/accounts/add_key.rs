use super::{Accounts, get::is_shown_to, whose_keys_may_change};
use crate::{
    domain::{
        account::{AccountKey, MAX_ACCOUNT_KEYS, ServiceAccount},
        act::Act,
        id::{Revision, ServiceAccountId},
        refusal::{Refusal, Violations},
    },
    replica::Patience,
    signing::PublicKey,
};

impl Accounts {
    /// Adds a public key. Adding it again changes nothing.
    pub async fn add_key(
        &self,
        act: Act,
        id: ServiceAccountId,
        key: PublicKey,
        patience: Patience,
    ) -> Result<(ServiceAccount, Revision), Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                let before = whose_keys_may_change(&tx, id).await?;
                match tx.owner_of(key.kid()).await? {
                    Some(owner) if owner == id => return Ok((before, false)),
                    Some(owner) => {
                        // Whoever has a public key learns whose it is only if they may see that account.
                        let is_shown = is_shown_to(tx.actor()?, &tx.account(owner).await?);
                        return Err(Refusal::ServiceAccountKeyExists(is_shown.then_some(owner)));
                    }
                    None => {}
                }
                if before.keys.len() >= MAX_ACCOUNT_KEYS {
                    let what = format!("the account has {MAX_ACCOUNT_KEYS} keys, which is the most; remove one first");
                    return Err(Refusal::FieldInvalid(Violations::one("service_account_id", what)));
                }
                let mut after = before.clone();
                after.keys.push(AccountKey {
                    kid: key.kid().clone(),
                    public_key_pem: key.to_pem().to_owned(),
                    create_time: tx.now(),
                });
                after.update_time = tx.now();
                tx.save_account(Some(before), after.clone());
                Ok((after, true))
            })
            .await?;
        self.replica.confirm_change(committed, patience).await
    }
}
