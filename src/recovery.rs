//! What a restored database lost, and who answers for it: revocations that the backup does not hold are
//! written again from an archive of what watchers were told, or the operator says that they are lost.

mod archive;
mod branch;
mod item;
mod lines;
mod whole;

use std::collections::BTreeMap;

use serde_json::json;

pub use archive::Archive;
pub use lines::ArchiveRefused;
#[cfg(test)]
pub(crate) use lines::LONGEST;

use crate::{
    domain::{
        account::ServiceAccount,
        act::Act,
        event::Cause,
        id::{ApplicationId, KeyId, Revision},
        key::{Key, RevokeReason, Revoked},
        notice::{Notice, What},
        refusal::Refusal,
        text::Note,
    },
    guard::{self, Guard},
    store::{Committed, Error, Restored, Store, Tx},
};
use archive::{Part, Told, What as Lost};
use branch::Branch;
use whole::{must_be_whole, not_told};

/// How the operator answers for it.
#[derive(Debug, Default)]
pub struct Answer {
    pub archives: Vec<Archive>,
    /// What no archive holds is lost.
    pub accept_loss: bool,
    /// Accounts are as the backup has them: no archive holds what became of them.
    pub accept_accounts: bool,
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
    /// Who may call, where accounts may have been changed since the backup: for people to look at.
    pub accounts: Option<String>,
}

/// Why it is not answered for.
#[derive(Debug, thiserror::Error)]
pub enum NotRecovered {
    #[error("this database was not restored, or somebody has answered for it already: there is nothing to confirm")]
    NothingToConfirm,
    #[error(
        "say what is known of the revocations since revision {holds}: --revocations FILE, what \
         `portcullis key watch --archive FILE` kept; or --accept-loss, and they are lost"
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
    #[error(
        "{0}; and what else is given is of a branch of the history that the backup does not go on with, since an earlier \
         restore gave it up: give what watchers were told since that one"
    )]
    OtherBranch(Box<Self>),
    #[error(
        "{mutations} mutations since the backup were no revocations of keys, so an account may have been disabled, or have \
         lost keys or roles, and is as it was before: {accounts}. Who may call is to be looked at: say --accept-accounts, \
         and disable at once what must not be there"
    )]
    Accounts { mutations: i64, accounts: String },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] Error),
}

pub(crate) const COMMAND: &str = "confirm-restore";
const COMMENT: &str = "revoked before; the restored backup did not hold it";
/// Keys a transaction.
const KEYS: usize = 100;
/// Accounts that are named.
const ACCOUNTS: usize = 50;

/// Writes again what the archives hold, and takes the mark away. Each step can be repeated: one that was cut
/// off leaves the mark.
pub async fn confirm(store: &Store, answer: Answer) -> Result<Recovered, NotRecovered> {
    let restored = store.restored().await?.ok_or(NotRecovered::NothingToConfirm)?;
    if answer.archives.iter().any(|archive| archive.log_id.is_some_and(|log_id| log_id != restored.log_id)) {
        return Err(NotRecovered::OtherHistory);
    }
    let parts: Vec<Part> = answer.archives.into_iter().flat_map(|archive| archive.parts).collect();
    let mut look_at_accounts = true;
    if !answer.accept_loss {
        let own = Branch::of(store, &restored).await?.own(store, &parts).await?;
        let has_others = own.len() < parts.len();
        let whole = must_be_whole(&restored, &own);
        whole.map_err(|why| if has_others { NotRecovered::OtherBranch(Box::new(why)) } else { why })?;
        let mutations = not_told(&restored, &own);
        look_at_accounts = mutations > 0;
        if look_at_accounts && !answer.accept_accounts && guard::on(Guard::RestoredAccounts) {
            return Err(NotRecovered::Accounts { mutations, accounts: who_may_call(store).await? });
        }
    }
    let accounts = if look_at_accounts { Some(who_may_call(store).await?) } else { None };
    let mut done = Recovered { restored, revoked: 0, disabled: 0, unknown: 0, applications: Vec::new(), accounts };
    let mut keys: BTreeMap<(ApplicationId, KeyId), Lost> = BTreeMap::new();
    // What is for ever is so whatever its revision: somebody may have written after the restore, and before
    // it was said, what has the numbers of that which was lost.
    let is_lost = |told: &&Told| told.revision > restored.holds || told.what == Lost::Revoked;
    for told in parts.iter().flat_map(|part| &part.told).filter(is_lost) {
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
        "accept_accounts": answer.accept_accounts,
        "revoked": done.revoked,
        "disabled": done.disabled,
    }});
    let write = store.write(Act::operator(COMMAND), async move |tx| Ok(tx.confirm_restore(remark).await?));
    write.await.map(Committed::alone)?;
    Ok(done)
}

/// The accounts that would be believed, for people to read.
async fn who_may_call(store: &Store) -> Result<String, NotRecovered> {
    let mut accounts = store.read(Revision::default(), |all| async move { all.accounts("").await }).await?;
    accounts.retain(|account| {
        let has_proof = !account.keys.is_empty() || !account.certificate_names.is_empty();
        has_proof && !account.disabled
    });
    let one = |account: &ServiceAccount| format!("{} ({}, {} keys)", account.id, &*account.name, account.keys.len());
    let mut told: Vec<_> = accounts.iter().take(ACCOUNTS).map(one).collect();
    if accounts.len() > ACCOUNTS {
        told.push(format!("and {} more", accounts.len() - ACCOUNTS));
    }
    Ok(told.join(", "))
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
