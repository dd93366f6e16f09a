use std::collections::HashMap;

use super::{Keys, must_be_ahead, must_grant};
use crate::{
    domain::{
        account::ServiceAccount,
        act::Act,
        application::Application,
        id::{ApplicationId, KeyId, Revision},
        key::{Key, KeyToImport},
        refusal::{Refusal, Violations},
        secret::SecretHash,
    },
    entropy::Entropy,
    guard::{self, Guard},
    replica::Patience,
    store::{CreateRequest, Error, Tx},
};

/// Keys of another system, for one application.
#[derive(Debug)]
pub struct ImportKeys {
    pub application_id: ApplicationId,
    /// Each hash once.
    pub keys: Vec<KeyToImport>,
    pub dry_run: bool,
    pub request: Option<CreateRequest>,
}

/// What became of each, in the order of the request.
#[derive(Debug)]
pub struct Imported(pub Vec<ImportedKey>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedKey {
    /// None: it would have been made.
    New(Option<KeyId>),
    Existed(KeyId),
}

/// What is wrong is told up to here: nobody reads on.
const MOST_WRONG: usize = 100;
const TAKEN: &str = "is the hash of a key already, elsewhere";

impl Keys {
    /// Takes over keys by their hashes, all of them or none, in one revision. What is there already, and
    /// the same, is left as it is, so that whoever was cut off begins anew. A hash is a key once:
    /// one of another application, or of a key that was revoked, is refused.
    ///
    /// Nobody is told of new keys as of those that are made here: their holders have had them before.
    pub async fn import(
        &self,
        act: Act,
        import: ImportKeys,
        patience: Patience,
    ) -> Result<(Imported, Revision), Refusal> {
        let entropy = self.entropy.clone();
        let committed = self
            .store
            .write(act, async move |tx| {
                let ImportKeys { application_id, keys, dry_run, request } = import;
                let actor = tx.actor_in(application_id)?;
                let repeats = tx.made_before(request.as_ref()).await?.is_some();
                let application = tx.application(application_id).await?;
                for (at, wish) in keys.iter().enumerate() {
                    must_grant(actor, &wish.permissions).map_err(|refusal| of_key(at, refusal))?;
                }
                let hashes: Vec<_> = keys.iter().map(|wish| wish.hash).collect();
                let there = tx.keys_by_hash(&hashes).await?.into_iter().map(|key| (key.hash, key)).collect();
                let known = Known { there, repeats, actor, application: &application };
                let (imported, new) = known.sort(keys, &tx, &entropy)?;
                tx.report_import(new.len(), imported.len() - new.len(), dry_run);
                if dry_run {
                    return Ok(Imported(imported.into_iter().map(ImportedKey::not_made).collect()));
                }
                tx.save_import(application_id, new);
                tx.made(request, application_id);
                Ok(Imported(imported))
            })
            .await?;
        self.replica.confirm(committed, patience).await
    }
}

impl ImportedKey {
    fn not_made(self) -> Self {
        match self {
            Self::New(_) => Self::New(None),
            Self::Existed(id) => Self::Existed(id),
        }
    }
}

/// By what it is decided.
struct Known<'a> {
    /// Keys with a hash of the request, of whichever application.
    there: HashMap<SecretHash, Key>,
    /// The request was carried out before, and its keys may have changed since.
    repeats: bool,
    actor: &'a ServiceAccount,
    application: &'a Application,
}

impl Known<'_> {
    /// Which are there and which are new; or all that is wrong with any of them.
    fn sort(
        &self,
        wishes: Vec<KeyToImport>,
        tx: &Tx,
        entropy: &Entropy,
    ) -> Result<(Vec<ImportedKey>, Vec<Key>), Refusal> {
        let (mut imported, mut new) = (Vec::with_capacity(wishes.len()), Vec::new());
        let (mut invalid, mut taken) = (Violations::default(), Violations::default());
        for (at, wish) in wishes.into_iter().enumerate() {
            if invalid.len() + taken.len() >= MOST_WRONG {
                break;
            }
            if let Some(key) = self.there.get(&wish.hash) {
                match self.is_it(key, &wish, tx) {
                    Ok(()) => imported.push(ImportedKey::Existed(key.id)),
                    Err(why) => taken.add(format!("keys[{at}].secret_sha256"), why),
                }
                continue;
            }
            let id = KeyId::new(entropy.uuid(tx.now()).map_err(Error::from)?);
            let key = wish.become_key(id, self.application.id, self.actor, tx.now());
            match self.is_good(&key, tx) {
                Ok(()) => {
                    imported.push(ImportedKey::New(Some(id)));
                    new.push(key);
                }
                Err(Refusal::FieldInvalid(wrong)) => invalid.append_under(&format!("keys[{at}]."), wrong),
                Err(other) => return Err(other),
            }
        }
        invalid.settle()?;
        if taken.is_empty() { Ok((imported, new)) } else { Err(Refusal::KeysExist(taken)) }
    }

    /// Whether the key that has the hash is the one that is wanted; else why not, with nothing about a
    /// key of an application that the caller does not see, but that there is one.
    fn is_it(&self, key: &Key, wish: &KeyToImport, tx: &Tx) -> Result<(), String> {
        if key.application_id != self.application.id {
            let is_seen = self.actor.scope.holds(key.application_id);
            return Err(if is_seen {
                format!("{TAKEN}: {} of {}", key.id, key.application_id)
            } else {
                TAKEN.to_owned()
            });
        }
        if self.repeats {
            return Ok(());
        }
        if key.is_revoked(tx.now()) && guard::on(Guard::Sticky) {
            let why = format!("is the hash of {}, which was revoked: such a text never becomes a key again", key.id);
            return Err(why);
        }
        let others = wish.differs_from(key, self.actor);
        if others.is_empty() {
            return Ok(());
        }
        Err(format!("is the hash of {} already, with another {}", key.id, others.join(", ")))
    }

    /// What is asked of every new key.
    fn is_good(&self, key: &Key, tx: &Tx) -> Result<(), Refusal> {
        let checks = [
            must_be_ahead("expire_time", key.expire_time, tx.now()),
            key.must_be_coherent(""),
            key.must_be_within(&self.application.plan, ""),
        ];
        let mut violations = Violations::default();
        for check in checks {
            match check {
                Err(Refusal::FieldInvalid(more)) => violations.append(more),
                other => other?,
            }
        }
        violations.settle()
    }
}

fn of_key(at: usize, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::GrantExceeded(what) => Refusal::GrantExceeded(format!("{what} of keys[{at}]")),
        other => other,
    }
}
