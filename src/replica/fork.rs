//! A history that was lost, by a failover or by the restore of a backup.
//!
//! What this replica has in memory may be all that is left of it. A revocation is for ever, so those
//! that the database has no more are written again before the memory is given up; until then this
//! replica answers nothing.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{
        account::ServiceAccount,
        act::Act,
        event::Cause,
        id::{ApplicationId, KeyId},
        key::{Key, RevokeReason, Revoked},
        notice::{Notice, What},
        refusal::Refusal,
        text::Note,
    },
    guard::{self, Guard},
    index::Index,
    store::{Committed, Error, Store},
};

const JOB: &str = "replica/fork";
const COMMENT: &str = "revoked before; the database lost it by a failover or a restore";
const RETRY: Duration = Duration::from_millis(500);
/// Keys a transaction.
const KEYS: usize = 100;

/// Writes again what was revoked and is not any more. Tries until it has succeeded.
pub(super) async fn rescue(store: &Store, index: &Arc<Index>) {
    tracing::error!("the history forked: the database has lost what this replica had applied");
    if !guard::on(Guard::Fork) {
        return;
    }
    loop {
        match again(store, index).await {
            Ok(0) => return tracing::warn!("no revocation was lost by the fork"),
            Ok(keys) => return tracing::error!(keys, "revocations that the fork lost are written again"),
            Err(error) => {
                tracing::error!(%error, "revocations that the fork lost are not written again yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn again(store: &Store, index: &Arc<Index>) -> Result<usize, Error> {
    let mut lost = Vec::new();
    let loaded = store
        .load(|keys| {
            let was_revoked = |key: &Key| index.key(&key.hash).is_some_and(|known| known.revoked);
            let risen = keys.into_iter().filter(|key| key.revoked.is_none() && was_revoked(key));
            lost.extend(risen.map(|key| (key.application_id, key.id)));
        })
        .await?;
    for account in &loaded.accounts {
        tell_of_risen(index, account);
    }
    for keys in lost.chunks(KEYS) {
        revoke(store, keys.to_vec()).await.map_err(Box::new)?;
    }
    Ok(lost.len())
}

/// Only a key of callers' callers is revoked for ever. A caller's own may be let in again by whoever
/// took it out, so that it is for people to say.
fn tell_of_risen(index: &Index, account: &ServiceAccount) {
    let Some(known) = index.account(account.id) else { return };
    let is_enabled = known.disabled && !account.disabled;
    let kids: Vec<_> = account.keys.iter().filter(|key| known.key(&key.kid).is_none()).map(|key| &key.kid).collect();
    if is_enabled || !kids.is_empty() {
        tracing::error!(
            service_account = %account.id, enabled = is_enabled, ?kids,
            "the fork lost that this account was disabled, or that these keys of it were removed; do it again"
        );
    }
}

/// Nobody waits at a barrier for it: nobody was told that it is in effect again.
async fn revoke(store: &Store, keys: Vec<(ApplicationId, KeyId)>) -> Result<(), Refusal> {
    let written = store.write(Act::job(JOB), async move |tx| {
        let cause = if tx.all_read(Cause::HistoryFork).await? { Cause::HistoryFork } else { Cause::Revoked };
        let comment = Note::parse(COMMENT).map_err(|_| Refusal::Internal)?;
        for (application, key) in keys {
            let before = tx.key(application, key).await?;
            let mut after = before.clone();
            if after.revoke(RevokeReason::Other, comment.clone(), tx.now()).is_none() {
                continue;
            }
            if let Some(Revoked { reason, comment, .. }) = after.revoked.clone() {
                tx.notify(Notice::of(&after, What::Revoked { reason, comment }));
            }
            tx.save_key(Some(before), after, Some(cause));
        }
        Ok(())
    });
    written.await.map(Committed::alone)
}
