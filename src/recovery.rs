//! What a restored database lost, and who answers for it: revocations that the backup does not hold are
//! written again from an archive of what watchers were told, or the operator says that they are lost.

mod archive;

use std::collections::BTreeMap;

use serde_json::json;

pub use archive::{Archive, ArchiveRefused};

use crate::{
    domain::{
        act::Act,
        event::Cause,
        id::{ApplicationId, KeyId, Revision},
        key::{Key, RevokeReason, Revoked},
        notice::{Notice, What},
        refusal::Refusal,
        text::Note,
    },
    store::{Committed, Error, Restored, Store, Tx},
};
use archive::{Part, Told, What as Lost};

/// How the operator answers for it.
#[derive(Debug, Default)]
pub struct Answer {
    pub archives: Vec<Archive>,
    /// What no archive holds is lost.
    pub accept_loss: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    pub restored: Restored,
    pub revoked: usize,
    pub disabled: usize,
    /// Of keys that the backup does not hold: they are no keys here.
    pub unknown: usize,
    /// Applications whose keys were narrowed together: for people to look at.
    pub applications: Vec<ApplicationId>,
}

/// Why it is not answered for.
#[derive(Debug, thiserror::Error)]
pub enum NotRecovered {
    #[error("this database was not restored, or somebody has answered for it already: there is nothing to confirm")]
    NothingToConfirm,
    #[error(
        "say what is known of the revocations since revision {holds}: --revocations FILE, an archive of \
         KeyService/WatchRevocations; or --accept-loss, and they are lost"
    )]
    Nothing { holds: Revision },
    #[error(
        "nobody knows which revision was the last one, so no archive can be known to be whole: look at the last one \
         that it holds ({reach}), and say --accept-loss as well"
    )]
    EndUnknown { reach: Revision },
    #[error("an archive is of another deployment's history: give what watchers of this one were told")]
    OtherHistory,
    #[error(
        "the archives do not hold revisions {from} to {to}: give those that do, or say --accept-loss as well, and what \
         was revoked in them is lost"
    )]
    Gap { from: Revision, to: Revision },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] Error),
}

pub(crate) const COMMAND: &str = "confirm-restore";
const COMMENT: &str = "revoked before; the restored backup did not hold it";
/// Keys a transaction.
const KEYS: usize = 100;

/// Writes again what the archives hold, and takes the mark away. Each step can be repeated: one that was cut
/// off leaves the mark.
pub async fn confirm(store: &Store, answer: Answer) -> Result<Recovered, NotRecovered> {
    let restored = store.restored().await?.ok_or(NotRecovered::NothingToConfirm)?;
    if answer.archives.iter().any(|archive| archive.log_id.is_some_and(|log_id| log_id != restored.log_id)) {
        return Err(NotRecovered::OtherHistory);
    }
    if !answer.accept_loss {
        must_be_whole(&restored, &answer.archives)?;
    }
    let mut done = Recovered { restored, revoked: 0, disabled: 0, unknown: 0, applications: Vec::new() };
    let mut keys: BTreeMap<(ApplicationId, KeyId), Lost> = BTreeMap::new();
    // What is for ever is so whatever its revision: somebody may have written after the restore, and before
    // it was said, what has the numbers of that which was lost.
    let is_lost = |told: &&Told| told.revision > restored.holds || told.what == Lost::Revoked;
    for told in answer.archives.iter().flat_map(|archive| &archive.told).filter(is_lost) {
        match *told {
            Told { application, key: Some(key), what, .. } => {
                let worst = keys.entry((application, key)).or_insert(what);
                *worst = what.max(*worst);
            }
            Told { application, key: None, .. } => done.applications.push(application),
        }
    }
    done.applications.sort_unstable();
    done.applications.dedup();
    let keys: Vec<_> = keys.into_iter().collect();
    for chunk in keys.chunks(KEYS) {
        let chunk = chunk.to_vec();
        let write = store.write(Act::operator(COMMAND), async move |tx| again(&tx, chunk).await);
        let (revoked, disabled, unknown) = write.await.map(Committed::alone)?;
        done.revoked += revoked;
        done.disabled += disabled;
        done.unknown += unknown;
    }
    store.lower_head().await?;
    let remark = json!({"restore": {
        "holds": restored.holds.number(),
        "lost_to": restored.lost_to.map(Revision::number),
        "accept_loss": answer.accept_loss,
        "revoked": done.revoked,
        "disabled": done.disabled,
    }});
    let write = store.write(Act::operator(COMMAND), async move |tx| Ok(tx.confirm_restore(remark).await?));
    write.await.map(Committed::alone)?;
    Ok(done)
}

/// Whether the archives hold every revision that was lost.
fn must_be_whole(restored: &Restored, archives: &[Archive]) -> Result<(), NotRecovered> {
    let mut parts: Vec<_> = archives.iter().flat_map(|archive| archive.parts.iter().copied()).collect();
    let Some(reach) = parts.iter().map(|part| part.last).max() else {
        return Err(NotRecovered::Nothing { holds: restored.holds });
    };
    let lost_to = restored.lost_to.ok_or(NotRecovered::EndUnknown { reach })?;
    parts.sort_unstable();
    let mut to = restored.holds;
    for Part { after, last } in parts {
        if after > to && to < lost_to {
            return Err(NotRecovered::Gap { from: to.next(), to: after.min(lost_to) });
        }
        to = to.max(last);
    }
    if to < lost_to { Err(NotRecovered::Gap { from: to.next(), to: lost_to }) } else { Ok(()) }
}

/// How many were revoked, were disabled, and are no keys here.
async fn again(tx: &Tx, keys: Vec<((ApplicationId, KeyId), Lost)>) -> Result<(usize, usize, usize), Refusal> {
    let comment = Note::parse(COMMENT).map_err(|_| Refusal::Internal)?;
    let (mut revoked, mut disabled, mut unknown) = (0, 0, 0);
    for ((application, key), what) in keys {
        let before = match tx.key(application, key).await {
            Ok(key) => key,
            Err(Refusal::KeyNotFound) => {
                unknown += 1;
                continue;
            }
            Err(refusal) => return Err(refusal),
        };
        let mut after = before.clone();
        match what {
            Lost::Revoked => {
                let Some(cause) = after.revoke(RevokeReason::Other, comment.clone(), tx.now()) else { continue };
                tell_revoked(tx, &after);
                tx.save_key(Some(before), after, Some(cause));
                revoked += 1;
            }
            Lost::Narrowed => {
                if after.is_revoked(tx.now()) || !after.disable(tx.now()) {
                    continue;
                }
                tx.notify(Notice::of(&after, What::Updated { fields: vec!["disabled"] }));
                tx.save_key(Some(before), after, Some(Cause::Disabled));
                disabled += 1;
            }
        }
    }
    Ok((revoked, disabled, unknown))
}

fn tell_revoked(tx: &Tx, key: &Key) {
    if let Some(Revoked { reason, comment, .. }) = key.revoked.clone() {
        tx.notify(Notice::of(key, What::Revoked { reason, comment }));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        archive::tests::{HISTORY, marks},
        *,
    };
    use crate::domain::time::Timestamp;

    fn revision(number: i64) -> Revision {
        Revision::new(number)
    }

    fn gap(lost_to: i64, parts: &[&str]) -> Option<(i64, i64)> {
        let restored = restored(Some(revision(lost_to)));
        let archives: Vec<_> = parts.iter().map(|text| Archive::read(text).expect("lines")).collect();
        match must_be_whole(&restored, &archives) {
            Ok(()) => None,
            Err(NotRecovered::Gap { from, to }) => Some((from.number(), to.number())),
            Err(other) => panic!("{other}"),
        }
    }

    fn restored(lost_to: Option<Revision>) -> Restored {
        Restored { log_id: HISTORY, time: Timestamp::from_micros(1), holds: revision(20), lost_to }
    }

    #[test]
    fn archives_must_hold_every_revision_that_was_lost() {
        assert_eq!(gap(30, &[&marks(&[20, 30])]), None);
        assert_eq!(gap(30, &[&marks(&[5, 31])]), None);
        assert_eq!(gap(30, &[&marks(&[20, 29])]), Some((30, 30)));
        assert_eq!(gap(30, &[&marks(&[22, 30])]), Some((21, 22)), "its first bookmark says nothing of what was before");
        assert_eq!(gap(30, &[&marks(&[25, 30]), &marks(&[10, 25])]), None, "in whatever order");
        assert_eq!(gap(30, &[&marks(&[10, 24]), &marks(&[26, 30])]), Some((25, 26)));
        let anew = marks(&[10, 24]) + &marks(&[26, 30]);
        assert_eq!(gap(30, &[&anew]), Some((25, 26)), "a watch that began anew, in the same file");
        assert_eq!(gap(20, &[&marks(&[21])]), None, "nothing was lost");
    }

    #[test]
    fn where_the_end_is_not_known_no_archive_is_whole() {
        let restored = restored(None);
        let archive = Archive::read(&marks(&[20, 30])).expect("lines");
        assert!(matches!(must_be_whole(&restored, &[archive]), Err(NotRecovered::EndUnknown { .. })));
        assert!(matches!(must_be_whole(&restored, &[]), Err(NotRecovered::Nothing { .. })));
    }
}
