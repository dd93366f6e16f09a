//! Rows and events to domain values and back. A row that does not read is [`Error::Corrupt`].

#[macro_use]
mod word;

mod account;
mod imported;
mod key;
mod limits;
mod notice;
mod tenant;
mod usage;
mod webhook;

use std::{fmt::Display, str::FromStr, time::Duration};

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use super::{
    Error,
    entity::{api_key, application, service_account, service_account_key},
};
use crate::domain::{
    account::Role,
    event::{self, ApplicationChange, Cause, Change, KeyChange},
    id::KeyId,
    key::{Key, KeyEnvironment, KeyType, RevokeReason},
    limit::QuotaPeriod,
    notice::LeakPolicy,
    text::{Name, Note},
};

pub(super) use account::{account, account_rows};
use imported::Rows;
pub(super) use key::{key, key_row};
pub(super) use limits::NO_PLAN;
pub(super) use notice::{payload, with_held_back};
pub(super) use tenant::{application, application_row, leak_word, usual_leak_policy};
pub(super) use usage::{read_verdict, unit, verdict};
pub(super) use webhook::{OPEN, QUEUED, delivery, state, webhook, webhook_row};
use word::Word;

/// A change as it stands in the log: the whole row, so that applying it needs no query.
/// A kind that this version does not know does not read, and the replica stops serving.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ChangeRow {
    Key {
        row: Box<api_key::Model>,
        cause: Option<String>,
    },
    /// New ones, from another system.
    ImportedKeys(Rows<api_key::Model>),
    Application {
        row: application::Model,
        #[serde(default)] // the first version's have none
        cause: Option<String>,
    },
    ServiceAccount {
        row: service_account::Model,
        keys: Vec<service_account_key::Model>,
    },
}

impl ChangeRow {
    /// The first version of events that reads all of it. A field that is added to a row stands in events
    /// only where it says more than its default does, and then its version is named here.
    pub(super) fn version(&self) -> Result<i64, Error> {
        let (row, cause) = match self {
            Self::Key { row, cause } if row.imported => (event::IMPORTS, cause.clone()),
            Self::Key { row: _, cause } | Self::Application { row: _, cause } => (event::FIRST, cause.clone()),
            Self::ImportedKeys(_) => (event::IMPORTS, None),
            Self::ServiceAccount { row, keys: _ } => {
                let names = row.client_certificate_names.as_array().is_some_and(|names| !names.is_empty());
                (if names { event::CERTIFICATE_NAMES } else { event::FIRST }, None)
            }
        };
        Ok(read_cause(cause)?.map_or(event::FIRST, Cause::since).max(row))
    }

    pub(super) fn read(self) -> Result<Vec<Change>, Error> {
        let change = match self {
            Self::Key { row, cause } => {
                let key = key(*row)?;
                Change::Key(change(&key, read_cause(cause)?))
            }
            Self::ImportedKeys(rows) => {
                let rows = rows.read().map_err(|error| corrupt("imported keys", error))?;
                return rows.into_iter().map(|row| Ok(Change::Key(change(&key(row)?, None)))).collect();
            }
            Self::Application { row, cause } => {
                let application = application(row)?;
                Change::Application(ApplicationChange { application, cause: read_cause(cause)? })
            }
            Self::ServiceAccount { row, keys } => Change::ServiceAccount(account(row, keys)?),
        };
        Ok(vec![change])
    }

    /// Of new rows.
    pub(super) fn imported(rows: &[api_key::Model]) -> Result<Self, Error> {
        Ok(Self::ImportedKeys(Rows::of(rows).map_err(|error| corrupt("imported keys", error))?))
    }
}

fn change(key: &Key, cause: Option<Cause>) -> KeyChange {
    KeyChange { hash: key.hash, facts: key.facts(), cause, imported: key.imported }
}

fn read_cause(word: Option<String>) -> Result<Option<Cause>, Error> {
    word.map(|word| Cause::read(&word)).transpose()
}

words!(Cause {
    Revoked = "revoked",
    Disabled = "disabled",
    Expired = "expired",
    Narrowed = "narrowed",
    Rotated = "rotated",
    HistoryFork = "history_fork",
});
words!(LeakPolicy { Alert = "alert", Disable = "disable", Revoke = "revoke" });
words!(KeyType { Secret = "secret", Publishable = "publishable" });
words!(QuotaPeriod { Day = "day", Month = "month" });
words!(KeyEnvironment { Live = "live", Test = "test" });
words!(RevokeReason {
    Compromised = "compromised",
    Leaked = "leaked",
    Superseded = "superseded",
    Unused = "unused",
    OwnerGone = "owner_gone",
    Policy = "policy",
    Other = "other",
});
words!(Role { Admin = "admin", Viewer = "viewer", Editor = "editor", Verifier = "verifier", Watcher = "watcher" });

pub(super) fn environment(environment: KeyEnvironment) -> String {
    environment.word().to_owned()
}

pub(super) fn cause(cause: Cause) -> String {
    cause.word().to_owned()
}

pub(super) fn key_id(text: &str) -> Result<KeyId, Error> {
    parse(text, "key id")
}

fn corrupt(what: &str, value: impl Display) -> Error {
    Error::Corrupt(format!("{what} {value}"))
}

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, Error> {
    text.parse().map_err(|_| corrupt(what, text))
}

fn list<T: FromStr>(json: Json, what: &str) -> Result<Vec<T>, Error> {
    let texts: Vec<String> = serde_json::from_value(json).map_err(|error| corrupt(what, error))?;
    texts.iter().map(|text| parse(text, what)).collect()
}

fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Json {
    Json::from(items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>())
}

/// A length of time as it is stored.
fn duration(micros: i64, what: &str) -> Result<Duration, Error> {
    u64::try_from(micros).map(Duration::from_micros).map_err(|_| corrupt(what, micros))
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn name(text: &str) -> Result<Name, Error> {
    Name::parse(text).map_err(|error| corrupt("name", error))
}

fn note(text: &str) -> Result<Note, Error> {
    Note::parse(text).map_err(|error| corrupt("text", error))
}

#[cfg(test)]
mod tests;
