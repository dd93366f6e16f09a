use super::Keys;
use crate::{
    domain::{
        act::Act,
        event::Cause,
        id::{ApplicationId, KeyId, Revision},
        key::{RevokeReason, Revoked},
        notice::{Notice, What},
        refusal::Refusal,
        text::Note,
        usage::UsedKey,
    },
    replica::Patience,
};

/// A key to be ended.
#[derive(Debug, Clone)]
pub struct RevokeKey {
    pub application_id: ApplicationId,
    pub key_id: KeyId,
    pub reason: RevokeReason,
    pub comment: Note,
    /// Empty: whatever it is now.
    pub etag: String,
}

impl Keys {
    /// Ends a key for good. When this returns OK, no replica answers VALID to a question
    /// that is asked afterwards. A key that is revoked already stays as it is, but the call
    /// writes and waits all the same: an OK means what it says each time.
    pub async fn revoke(
        &self,
        act: Act,
        revoke: RevokeKey,
        patience: Patience,
    ) -> Result<(UsedKey, Revision), Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                tx.actor_in(revoke.application_id)?;
                let before = tx.key(revoke.application_id, revoke.key_id).await?;
                let mut after = before.clone();
                let Some(cause) = after.revoke(revoke.reason, revoke.comment, tx.now()) else {
                    return Ok((after, false));
                };
                // An overlap that is over ended it before, whatever the caller read.
                if cause == Cause::Revoked {
                    before.revision.must_match(&revoke.etag)?;
                }
                if let Some(Revoked { reason, comment, .. }) = after.revoked.clone() {
                    tx.notify(Notice::of(&after, What::Revoked { reason, comment }));
                }
                tx.save_key(Some(before), after.clone(), Some(cause));
                Ok((after, true))
            })
            .await?;
        let (key, revision) = self.replica.confirm_change(committed, patience).await?;
        Ok((self.with_usage(key).await, revision))
    }
}
