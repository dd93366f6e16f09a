use super::Keys;
use crate::{
    domain::{
        account::AccountKey,
        act::Act,
        event::Cause,
        id::{ApplicationId, KeyId, Revision},
        key::Key,
        notice::{Notice, What},
        refusal::Refusal,
        seal::SealedSecret,
    },
    replica::Patience,
    signing::Kid,
    store::Tx,
};

/// Whose secret is wanted.
#[derive(Debug, Clone, Copy)]
pub struct GetSealedSecret {
    pub application_id: ApplicationId,
    pub key_id: KeyId,
}

/// A secret that only the holder of the recipient's private key can read.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub key_id: KeyId,
    pub recipient: Kid,
    pub ciphertext: Vec<u8>,
}

impl Keys {
    /// Hands out what is sealed to a key of the caller's account, again and again until the
    /// new key is used: an answer that was lost is asked for again. The first time it ends the
    /// overlap, which waited for it. Whoever else asks is told that there is nothing, and not
    /// whether there is such a key.
    pub async fn sealed_secret(
        &self,
        act: Act,
        get: GetSealedSecret,
        patience: Patience,
    ) -> Result<(Sealed, Revision), Refusal> {
        // What was verified here until now counts. Elsewhere it does within about a second.
        let counted = tokio::time::timeout_at(patience.until, self.usage.flushed()).await;
        if !counted.is_ok_and(|counted| counted) {
            return Err(Refusal::StoreUnavailable);
        }
        let committed = self
            .store
            .write(act, async move |tx| {
                let actor = tx.actor_in(get.application_id)?;
                let (key, seal) = sealed(get, &tx).await?;
                if actor.key(&seal.recipient).is_none() {
                    return Err(Refusal::SealedSecretNotFound);
                }
                let is_used = tx.last_use(&key).await?.is_some();
                let Some(ciphertext) = seal.ciphertext.clone().filter(|_| !is_used && !key.is_revoked(tx.now())) else {
                    return Err(Refusal::SealedSecretGone);
                };
                let sealed = Sealed { key_id: key.id, recipient: seal.recipient.clone(), ciphertext };
                if seal.is_awaited() {
                    close_overlap_before(&key, &tx).await?;
                    let mut seal = seal;
                    seal.fetch_time = Some(tx.now());
                    tx.save_seal(seal);
                }
                Ok(sealed)
            })
            .await?;
        self.replica.confirm(committed, patience).await
    }
}

/// The key that was named, or its successor: whoever fetches holds the old key, and may know no
/// other.
async fn sealed(get: GetSealedSecret, tx: &Tx) -> Result<(Key, SealedSecret), Refusal> {
    let find = async |id| match tx.key(get.application_id, id).await {
        Err(Refusal::KeyNotFound) => Err(Refusal::SealedSecretNotFound),
        key => key,
    };
    let named = find(get.key_id).await?;
    if let Some(seal) = tx.sealed_secret(named.id).await? {
        return Ok((named, seal));
    }
    let next = named.lineage.successor.ok_or(Refusal::SealedSecretNotFound)?;
    let seal = tx.sealed_secret(next.key_id).await?.ok_or(Refusal::SealedSecretNotFound)?;
    Ok((find(next.key_id).await?, seal))
}

/// The overlap with the key before this one waited for its secret: from now on it is as long
/// as the application says.
pub(crate) async fn close_overlap_before(key: &Key, tx: &Tx) -> Result<(), Refusal> {
    let Some(old) = key.lineage.rotated_from else { return Ok(()) };
    let before = match tx.key(key.application_id, old).await {
        // It is gone, or does not read: nothing of it waits.
        Err(Refusal::KeyNotFound | Refusal::Internal) => return Ok(()),
        before => before?,
    };
    let mut after = before.clone();
    if after.close_overlap(tx.application(key.application_id).await?.overlap, tx.now()) {
        tx.notify(Notice::of(&after, What::Updated { fields: after.fields_unlike(&before) }));
        tx.save_key(Some(before), after, Some(Cause::Narrowed));
    }
    Ok(())
}

/// Whom a key's next secret is handed to, if that is somebody who may see its application.
pub(crate) async fn recipient(key: &Key, tx: &Tx) -> Result<Option<AccountKey>, Refusal> {
    let Some(kid) = key.upkeep.rotation.as_ref().and_then(|rotation| rotation.recipient.as_ref()) else {
        return Ok(None);
    };
    let Some(owner) = tx.owner_of(kid).await? else { return Ok(None) };
    let account = tx.account(owner).await?;
    let sees = !account.disabled && account.scope.holds(key.application_id);
    Ok(account.key(kid).filter(|_| sees).cloned())
}
