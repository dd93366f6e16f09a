use std::time::Duration;

use super::Turn;
use crate::{
    domain::{
        id::KeyId,
        key::{Key, Rotation},
        lineage::MAX_GOOD,
        refusal::Refusal,
        seal::SealedSecret,
        secret::PlainKey,
    },
    entropy::Entropy,
    keys::recipient,
    signing::PublicKey,
    store::Error,
};

/// Until the secret was fetched: as long as the old key itself may last.
const OPEN: Duration = Duration::MAX;

impl Turn<'_> {
    /// Makes the successor, whose secret nobody sees: it is sealed to the recipient's key, and
    /// the old key stays good until that was fetched. None: there is nobody to seal it to.
    pub(super) async fn rotate(&mut self, entropy: &Entropy) -> Result<Option<Key>, Refusal> {
        let (tx, now) = (self.tx, self.tx.now());
        if tx.sealed_secret(self.key.id).await?.is_some_and(|seal| seal.is_awaited()) {
            self.hold("its own secret was not fetched yet");
            return Ok(None);
        }
        if tx.good_of(self.key.lineage.chain).await?.len() >= MAX_GOOD {
            self.hold("too many keys of its chain are good already");
            return Ok(None);
        }
        let Some(recipient) = recipient(&self.key, tx).await? else {
            self.hold("its recipient's key is gone, or the account disabled or without this application");
            return Ok(None);
        };
        let public_key = PublicKey::from_pem(&recipient.public_key_pem).map_err(|error| {
            tracing::error!(kid = %recipient.kid, "a public key does not read: {error}");
            Refusal::Internal
        })?;
        let application = tx.application(self.key.application_id).await?;
        let material = entropy.key_material().map_err(Error::from)?;
        let secret = PlainKey::make(application.key_prefix.as_ref(), self.key.kind, self.key.environment, material);
        let id = KeyId::new(entropy.uuid(now).map_err(Error::from)?);
        let sealed = entropy.draw(|rng| secret.seal(|text| public_key.seal(text, rng))).map_err(Error::from)?;
        let sealed = sealed.map_err(|error| {
            tracing::error!(kid = %recipient.kid, "a secret cannot be sealed: {error}");
            Refusal::Internal
        })?;
        let rotation = Rotation {
            successor: id,
            prefix: secret.shown(),
            hash: secret.hash(),
            // Whoever answers for the old key answers for the new one: no person made it.
            created_by: self.key.created_by,
            overlap: OPEN,
            expire_time: None,
        };
        let successor = self.key.rotate(rotation, now)?;
        tx.save_seal(SealedSecret::new(id, recipient.kid, sealed, now));
        Ok(Some(successor))
    }
}
