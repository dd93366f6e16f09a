use std::time::Duration;

use super::{Expiration, Keys, must_grant};
use crate::{
    domain::{
        act::Act,
        id::{ApplicationId, KeyId, Revision},
        key::{Key, Rotation},
        lineage::MAX_GOOD,
        refusal::Refusal,
        secret::PlainKey,
        usage::UsedKey,
    },
    replica::Patience,
    store::{CreateRequest, Error, Tx},
};

/// A key that is to get a successor.
#[derive(Debug, Clone)]
pub struct RotateKey {
    pub application_id: ApplicationId,
    pub key_id: KeyId,
    /// None: as the application says.
    pub overlap: Option<Duration>,
    /// Of the successor. None: as the old key.
    pub expiration: Option<Expiration>,
    /// Of the old key. Empty: whatever it is now.
    pub etag: String,
    pub request: Option<CreateRequest>,
}

/// A successor, the only copy of its text, and the key that it comes after.
#[derive(Debug)]
pub struct Rotated {
    pub key: UsedKey,
    pub secret: PlainKey,
    pub old: UsedKey,
}

impl Keys {
    /// Makes a key's successor, and begins the overlap of the two.
    pub async fn rotate(
        &self,
        act: Act,
        rotate: RotateKey,
        patience: Patience,
    ) -> Result<(Rotated, Revision), Refusal> {
        let material = self.entropy.key_material().map_err(Error::from)?;
        let entropy = self.entropy.clone();
        let committed = self
            .store
            .write(act, async move |tx| {
                let actor = tx.actor_in(rotate.application_id)?;
                if let Some(made) = tx.made_before(rotate.request.as_ref()).await? {
                    let id: KeyId = made.parse().map_err(|_| Refusal::Internal)?;
                    return Err(Refusal::SecretAlreadyReturned(id));
                }
                let before = newest(&tx, &rotate).await?;
                before.revision.must_match(&rotate.etag)?;
                // Whatever the old key holds: who rotates it gets a secret that is good for all of it.
                must_grant(actor, &before.permissions)?;
                let application = tx.application(rotate.application_id).await?;
                let prefix = application.key_prefix.as_ref();
                let secret = PlainKey::make(prefix, before.kind, before.environment, material);
                let rotation = Rotation {
                    successor: KeyId::new(entropy.uuid(tx.now()).map_err(Error::from)?),
                    prefix: secret.shown(),
                    hash: secret.hash(),
                    created_by: actor.id,
                    overlap: rotate.overlap.unwrap_or(application.overlap),
                    expire_time: rotate.expiration.map(|expiration| expiration.time(tx.now())).transpose()?,
                };
                let mut old = before.clone();
                let key = old.rotate(rotation, tx.now())?;
                if rotate.expiration.is_some() {
                    key.must_be_coherent("")?;
                }
                tx.save_rotation(before, old.clone(), key.clone());
                tx.made(rotate.request, key.id);
                Ok((old, key, secret))
            })
            .await?;
        let ((mut old, mut key, secret), revision) = self.replica.confirm(committed, patience).await?;
        (old.revision, key.revision) = (revision, revision);
        let [old, key] = self.with_usages([old, key]).await;
        Ok((Rotated { key, secret, old }, revision))
    }
}

/// The key, if it is one that rotates: it has not ended, and has no successor yet.
async fn newest(tx: &Tx, rotate: &RotateKey) -> Result<Key, Refusal> {
    let key = tx.key(rotate.application_id, rotate.key_id).await?;
    if key.is_revoked(tx.now()) {
        return Err(Refusal::KeyRevoked);
    }
    if key.lineage.successor.is_none() {
        let good = tx.good_of(key.lineage.chain).await?.len();
        return if good < MAX_GOOD { Ok(key) } else { Err(Refusal::TooManyOverlaps) };
    }
    let newest = tx.newest_of(key.lineage.chain).await?;
    Err(newest.map_or(Refusal::Internal, |newest| Refusal::KeyAlreadyRotated(newest.id)))
}
