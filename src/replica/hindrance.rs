//! Why no lease is granted, where the database itself shows why.

use std::{
    mem,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use super::Replica;
use crate::store::{Error, Standbys, Store, Weakness};

/// What is in the way of every sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    #[error("no answer rests on a database that may lose what it acknowledges: {0}")]
    Weak(Weakness),
    #[error("{}", Standbys::NOBODY.join("; "))]
    NoStandby,
    #[error("{}", Error::Unconfirmed)]
    Unconfirmed,
}

/// For a look while commits hang: it needs none.
const BRIEFLY: Duration = Duration::from_millis(500);

impl Hindrance {
    /// By those who follow.
    #[must_use]
    pub fn by(standbys: Standbys) -> Option<Self> {
        standbys.none_is_there().then_some(Self::NoStandby)
    }

    /// Of a database that did not answer in time.
    pub(super) async fn of(store: &Store) -> Option<Self> {
        store.standbys(BRIEFLY).await.ok().and_then(Self::by)
    }
}

impl Replica {
    /// Why no sync succeeds, where that is known.
    #[must_use]
    pub fn hindrance(&self) -> Option<Hindrance> {
        *self.hindered()
    }

    /// Answers what it was before.
    pub(super) fn hindered_by(&self, hindrance: Option<Hindrance>) -> Option<Hindrance> {
        mem::replace(&mut *self.hindered(), hindrance)
    }

    /// Why no sync comes to its end. A look takes its time, so not before the lease is over.
    pub(super) async fn look_for_hindrance(&self, store: &Store) {
        if self.is_fresh() {
            return;
        }
        let found = Hindrance::of(store).await;
        if let (before, Some(hindrance)) = (self.hindered_by(found), found)
            && before != found
        {
            tracing::error!("{hindrance}");
        }
    }

    /// After a sync that succeeded.
    pub(super) fn hindered_no_more(&self) {
        match self.hindered_by(None) {
            Some(Hindrance::Weak(_)) => {
                tracing::info!("the database loses nothing that it acknowledges any more: answering again");
            }
            Some(Hindrance::NoStandby) => tracing::info!("the database commits again: answering again"),
            Some(Hindrance::Unconfirmed) | None => {}
        }
    }

    fn hindered(&self) -> MutexGuard<'_, Option<Hindrance>> {
        self.shared.hindrance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
