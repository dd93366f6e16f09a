//! The log: what changed, in order. Whoever applies every event has the whole state that
//! Verify and authentication need.

use uuid::Uuid;

use super::{
    account::ServiceAccount,
    application::Application,
    id::{ApplicationId, KeyId, Revision},
    secret::SecretHash,
    time::Timestamp,
    verdict::KeyFacts,
};

/// The version of events that every program reads which keeps a log.
pub const FIRST: i64 = 1;
/// The newest version of events that this program reads. What only it reads may stand in the log
/// when every replica reads it: version 2 knows [`Cause::HistoryFork`], version 3 [`IMPORTS`], version 4
/// [`CERTIFICATE_NAMES`].
pub const READS: i64 = 4;
/// The first version that knows of keys that were imported: an older one would not look for their
/// texts, and refuse them.
pub const IMPORTS: i64 = 3;
/// The first version that knows the names of client certificates: an older replica would go on
/// taking a name for an account that it was taken away from.
pub const CERTIFICATE_NAMES: i64 = 4;

/// One mutation.
#[derive(Debug, Clone)]
pub struct Event {
    pub revision: Revision,
    /// Tells apart two histories that gave the same number to different mutations.
    pub event_id: Uuid,
    pub time: Timestamp,
    pub changes: Vec<Change>,
}

/// One thing's new state.
#[derive(Debug, Clone)]
pub enum Change {
    Key(KeyChange),
    Application(ApplicationChange),
    ServiceAccount(ServiceAccount),
}

#[derive(Debug, Clone)]
pub struct ApplicationChange {
    pub application: Application,
    /// Set when its keys may be good for less than before.
    pub cause: Option<Cause>,
}

#[derive(Debug, Clone)]
pub struct KeyChange {
    pub hash: SecretHash,
    pub facts: KeyFacts,
    /// Set when the key is good for less than before.
    pub cause: Option<Cause>,
    /// Its text may be of any form.
    pub imported: bool,
}

/// Why an answer about a key is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Revoked,
    Disabled,
    Expired,
    Narrowed,
    /// The overlap with its successor is over.
    Rotated,
    /// The database lost that it was revoked, and a replica still knew.
    HistoryFork,
}

impl Cause {
    /// The first version of events that knows it.
    #[must_use]
    pub const fn since(self) -> i64 {
        match self {
            Self::Revoked | Self::Disabled | Self::Expired | Self::Narrowed | Self::Rotated => FIRST,
            Self::HistoryFork => 2,
        }
    }
}

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    No,
    /// With the cause when something is good for less than before.
    Yes(Option<Cause>),
}

pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// What a watcher is told: drop every answer for this key that is older than `revision`.
#[derive(Debug, Clone)]
pub struct Revocation {
    pub revision: Revision,
    pub time: Timestamp,
    pub application_id: ApplicationId,
    /// None: all keys of the application.
    pub key: Option<(KeyId, SecretHash)>,
    pub cause: Cause,
}

/// A place in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub revision: Revision,
    /// Of the event there; nil before the first.
    pub event_id: Uuid,
}

impl Position {
    pub const START: Self = Self { revision: Revision::new(0), event_id: Uuid::nil() };
}

impl Event {
    #[must_use]
    pub fn position(&self) -> Position {
        Position { revision: self.revision, event_id: self.event_id }
    }

    /// What of it is told to watchers, and no more: it is kept for them, and an import is large.
    #[must_use]
    pub fn for_watchers(mut self) -> Self {
        self.changes.retain(|change| match change {
            Change::Key(KeyChange { cause, .. }) | Change::Application(ApplicationChange { cause, .. }) => {
                cause.is_some()
            }
            Change::ServiceAccount(_) => false,
        });
        self.changes.shrink_to_fit();
        self
    }

    /// What watchers are told of it.
    pub fn revocations(&self) -> impl Iterator<Item = Revocation> {
        self.changes.iter().filter_map(|change| {
            let (application_id, key, cause) = match change {
                Change::Key(KeyChange { hash, facts, cause, imported: _ }) => {
                    (facts.application_id, Some((facts.id, *hash)), *cause)
                }
                Change::Application(ApplicationChange { application, cause }) => (application.id, None, *cause),
                Change::ServiceAccount(_) => return None,
            };
            Some(Revocation { revision: self.revision, time: self.time, application_id, key, cause: cause? })
        })
    }
}
