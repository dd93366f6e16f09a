//! What jobs read and note, beside the keys themselves.

use sea_orm::DatabaseTransaction;

use super::Tx;
use crate::{
    domain::{id::KeyId, key::Key, refusal::Refusal, seal::SealedSecret, time::Timestamp, timer::Timer, usage::Whose},
    store::{DueKey, Error, keys, seals, timers, usage},
};

/// What is written beside what makes a revision, and behind it: the key of a timer has its
/// last word then.
#[derive(Debug)]
pub(in crate::store) enum Aside {
    Timer { key: Box<Key>, timer: Timer },
    PutOff { key: String, until: Timestamp },
    ForgetTimer { key: String },
    Seal(SealedSecret),
}

impl Tx {
    /// The keys for which something is due, at most so many.
    pub async fn due_keys(&self, most: u64) -> Result<Vec<DueKey>, Refusal> {
        Ok(timers::due(&self.inner.db, self.now(), most).await?)
    }

    /// The sealed secrets for which something is due, at most so many.
    pub async fn due_seals(&self, most: u64) -> Result<Vec<SealedSecret>, Refusal> {
        Ok(seals::due(&self.inner.db, self.now(), most).await?)
    }

    /// A key of whichever application.
    pub async fn any_key(&self, key: KeyId) -> Result<Option<Key>, Refusal> {
        Ok(keys::find_any(&self.inner.db, key).await?)
    }

    /// The last VALID verdict over a key, as far as it is in the database.
    pub async fn last_use(&self, key: &Key) -> Result<Option<Timestamp>, Refusal> {
        let whose = Whose { application_id: key.application_id, key_id: Some(key.id) };
        Ok(usage::last_use(&self.inner.db, whose).await?)
    }

    pub async fn sealed_secret(&self, key: KeyId) -> Result<Option<SealedSecret>, Refusal> {
        Ok(seals::find(&self.inner.db, key).await?)
    }

    pub fn save_seal(&self, seal: SealedSecret) {
        self.notes().asides.push(Aside::Seal(seal));
    }

    /// Notes what was told of a key, as it is now. Nothing else follows its change then.
    pub fn save_timer(&self, key: Key, timer: Timer) {
        self.notes().asides.push(Aside::Timer { key: Box::new(key), timer });
    }

    /// Notes that nobody can do for a key what is due, and when it is tried again.
    pub fn put_off(&self, key: String, until: Timestamp) {
        self.notes().asides.push(Aside::PutOff { key, until });
    }

    /// Notes that there is no such key.
    pub fn forget_timer(&self, key: String) {
        self.notes().asides.push(Aside::ForgetTimer { key });
    }
}

impl Aside {
    /// Whether it says when something is due for this key.
    pub(in crate::store) fn times(&self, id: KeyId) -> bool {
        matches!(self, Self::Timer { key, .. } if key.id == id)
    }

    pub(in crate::store) async fn write(self, db: &DatabaseTransaction, now: Timestamp) -> Result<(), Error> {
        match self {
            Self::Timer { key, timer } => timers::put(db, &key, &timer, now).await,
            Self::PutOff { key, until } => timers::put_off(db, &key, until).await,
            Self::ForgetTimer { key } => timers::forget(db, &key).await,
            Self::Seal(seal) => seals::put(db, &seal).await,
        }
    }
}
