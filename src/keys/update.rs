use super::{Keys, must_be_ahead, recipient_must_see};
use crate::{
    domain::{
        act::Act,
        event::{Cause, Changed},
        id::{ApplicationId, KeyId, Revision},
        key::{Key, KeyPatch},
        lineage::MAX_OVERLAP,
        notice::{Notice, What},
        refusal::{Refusal, Violations},
        time::Timestamp,
        usage::UsedKey,
    },
    replica::Patience,
    store::Tx,
};

/// New values for some fields of a key.
#[derive(Debug, Clone)]
pub struct UpdateKey {
    pub application_id: ApplicationId,
    pub key_id: KeyId,
    pub patch: KeyPatch,
    /// Empty: whatever it is now.
    pub etag: String,
}

impl Keys {
    /// Changes a key. One that is good for less afterwards is told to watchers.
    pub async fn update(
        &self,
        act: Act,
        update: UpdateKey,
        patience: Patience,
    ) -> Result<(UsedKey, Revision), Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                let actor = tx.actor_in(update.application_id)?;
                let before = tx.key(update.application_id, update.key_id).await?;
                if before.is_revoked(tx.now()) {
                    return Err(Refusal::KeyRevoked);
                }
                before.revision.must_match(&update.etag)?;
                if let Some(expire_time) = update.patch.expire_time
                    && expire_time != before.expire_time
                {
                    must_be_ahead("key.expire_time", expire_time, tx.now())?;
                }
                must_be_an_end(update.patch.overlap_end_time, tx.now())?;
                let mut after = before.clone();
                match after.update(update.patch, &actor.grantable, tx.now())? {
                    Changed::No => Ok((after, false)),
                    Changed::Yes(cause) => {
                        // Those that a downgrade of the plan left above it may stay.
                        if after.limits.rate_limits != before.limits.rate_limits {
                            let application = tx.application(update.application_id).await?;
                            after.must_be_within(&application.plan, "key.")?;
                        }
                        if after.upkeep.rotation != before.upkeep.rotation {
                            recipient_must_see(&after, "key.", &tx).await?;
                        }
                        if after.limits != before.limits {
                            share_limits(&after, &tx).await?;
                        }
                        save(before, after.clone(), cause, &tx);
                        Ok((after, true))
                    }
                }
            })
            .await?;
        let (key, revision) = self.replica.confirm_change(committed, patience).await?;
        Ok((self.with_usage(key).await, revision))
    }
}

fn save(before: Key, after: Key, cause: Option<Cause>, tx: &Tx) {
    tx.notify(Notice::of(&after, What::Updated { fields: after.fields_unlike(&before) }));
    tx.save_key(Some(before), after, cause);
}

/// A chain spends one budget, by one set of limits: whichever of its keys they are set through,
/// all get them that have not ended.
async fn share_limits(of: &Key, tx: &Tx) -> Result<(), Refusal> {
    let good = tx.good_of(of.lineage.chain).await?;
    for before in good.into_iter().filter(|key| key.id != of.id) {
        let mut after = before.clone();
        if let Changed::Yes(cause) = after.share(&of.limits, tx.now()) {
            save(before, after, cause, tx);
        }
    }
    Ok(())
}

/// The end of an overlap is ahead, and no further than a new overlap may reach.
fn must_be_an_end(time: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    const FIELD: &str = "key.overlap_end_time";
    must_be_ahead(FIELD, time, now)?;
    match time {
        Some(time) if time.since(now) > MAX_OVERLAP => {
            Err(Refusal::FieldInvalid(Violations::one(FIELD, "must be at most 365 days ahead")))
        }
        _ => Ok(()),
    }
}
