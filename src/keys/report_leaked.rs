use std::time::Duration;

use tokio::time::Instant;

use super::{Keys, Subject};
use crate::{
    domain::{
        act::Act,
        event::Cause,
        key::{Key, KeyType, RevokeReason, Revoked},
        notice::{LeakPolicy, Notice, What},
        refusal::Refusal,
        secret::SecretHash,
        text::Note,
    },
    guard::{self, Guard},
    replica::{Patience, Wait},
    store::Tx,
};

/// A text that was found where it does not belong.
#[derive(Debug)]
pub struct ReportLeaked {
    pub subject: Subject,
    /// Where, without any secret.
    pub source: Note,
}

/// No key has it: what is no text of a key is looked up all the same.
const NOBODY: SecretHash = SecretHash::from_bytes([0; 32]);
/// Answers leave at multiples of this, so that a statement more or less does not show.
const BEAT: Duration = Duration::from_millis(100);

impl Keys {
    /// Does about a leaked key what its application wants. Who has a key's text may report
    /// it, and learns nothing by that: whatever the text is, it takes the same way (nonce,
    /// revision, audit, barrier), is answered alike, and about as late.
    ///
    /// When this returns OK and the key was to be disabled or revoked, no replica answers
    /// VALID to a question that is asked afterwards.
    pub async fn report_leaked(&self, act: Act, report: ReportLeaked, patience: Patience) -> Result<(), Refusal> {
        let account = act.signer.as_ref().ok_or(Refusal::Internal)?.account_id;
        self.reports.spend(account, self.replica.boottime())?;
        let begun = Instant::now();
        let answer = self.report_somehow(act, report, patience).await;
        let beats = u32::try_from(begun.elapsed().as_millis() / BEAT.as_millis()).unwrap_or(u32::MAX);
        let next = begun + BEAT.saturating_mul(beats.saturating_add(1));
        tokio::time::sleep_until(next.min(patience.until)).await;
        answer
    }

    async fn report_somehow(&self, act: Act, report: ReportLeaked, patience: Patience) -> Result<(), Refusal> {
        let hash = match report.subject {
            Subject::Hash(hash) | Subject::Foreign(hash) => hash,
            Subject::Malformed => NOBODY,
            Subject::Id(_) => return Err(Refusal::Internal),
        };
        let source = report.source;
        let committed = self
            .store
            .write(act, async move |tx| {
                // Any account may, but its own application's keys are not the only ones.
                tx.actor()?;
                match tx.key_by_hash(&hash).await? {
                    Some(key) => {
                        let action = follow(&tx, &key, &source).await?;
                        tx.report(&source, Some((&key, action)));
                    }
                    None => tx.report(&source, None),
                }
                Ok(())
            })
            .await?;
        // What verifiers may keep about the key is waited for at the barrier, if there is such a
        // key; and for every text what they may keep about any.
        let (revision, promised) = (committed.revision, self.index.promised_until());
        self.replica.confirm(committed, patience).await?;
        if patience.wait == Wait::Everywhere && !self.replica.outlast(promised, patience.until).await {
            return Err(Refusal::CommittedNotConfirmed(revision));
        }
        Ok(())
    }
}

/// What its application wants, once a key is known. `None`: nothing follows.
async fn follow(tx: &Tx, key: &Key, source: &Note) -> Result<Option<LeakPolicy>, Refusal> {
    let may_be_seen = key.kind == KeyType::Publishable && guard::on(Guard::Leak);
    if may_be_seen || key.is_revoked(tx.now()) {
        return Ok(None);
    }
    let action = tx.application(key.application_id).await?.leak_policy;
    let mut after = key.clone();
    let cause = match action {
        LeakPolicy::Alert => None,
        LeakPolicy::Disable => after.disable(tx.now()).then_some(Cause::Disabled),
        LeakPolicy::Revoke => after.revoke(RevokeReason::Leaked, source.clone(), tx.now()),
    };
    // Where nothing changes, once a day.
    if tx.tells_leak(key, action).await? || cause.is_some() {
        tx.notify(Notice::of(&after, What::Leaked { action, source: source.clone() }));
    }
    if cause.is_some() {
        tx.notify(Notice::of(&after, change(&after, action)));
        tx.save_key(Some(key.clone()), after, cause);
    }
    Ok(Some(action))
}

/// What whoever hears of changes alone is told.
fn change(after: &Key, action: LeakPolicy) -> What {
    match after.revoked.clone() {
        Some(Revoked { reason, comment, .. }) if action == LeakPolicy::Revoke => What::Revoked { reason, comment },
        _ => What::Updated { fields: vec!["disabled"] },
    }
}
