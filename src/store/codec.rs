//! Rows and events to domain values and back. A row that does not read is [`Error::Corrupt`].

#[macro_use]
mod word;

mod account;
mod key;
mod limits;
mod usage;

use std::{fmt::Display, str::FromStr, time::Duration};

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use super::{
    Error,
    entity::{api_key, application, service_account, service_account_key},
};
use crate::domain::{
    account::Role,
    application::Application,
    event::{ApplicationChange, Cause, Change, KeyChange},
    id::Revision,
    key::{KeyEnvironment, KeyType, RevokeReason},
    limit::QuotaPeriod,
    secret::KeyPrefix,
    text::{Name, Note},
    time::Timestamp,
};

pub(super) use account::{account, account_rows};
pub(super) use key::{key, key_row};
pub(super) use limits::NO_PLAN;
pub(super) use usage::{read_verdict, unit, verdict};
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
    pub(super) fn read(self) -> Result<Change, Error> {
        Ok(match self {
            Self::Key { row, cause } => {
                let key = key(*row)?;
                Change::Key(KeyChange { hash: key.hash, facts: key.facts(), cause: read_cause(cause)? })
            }
            Self::Application { row, cause } => {
                let application = application(row)?;
                Change::Application(ApplicationChange { application, cause: read_cause(cause)? })
            }
            Self::ServiceAccount { row, keys } => Change::ServiceAccount(account(row, keys)?),
        })
    }
}

fn read_cause(word: Option<String>) -> Result<Option<Cause>, Error> {
    word.map(|word| Cause::read(&word)).transpose()
}

words!(Cause { Revoked = "revoked", Disabled = "disabled", Narrowed = "narrowed" });
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

fn name(text: &str) -> Result<Name, Error> {
    Name::parse(text).map_err(|error| corrupt("name", error))
}

fn note(text: &str) -> Result<Note, Error> {
    Note::parse(text).map_err(|error| corrupt("text", error))
}

pub(super) fn application(row: application::Model) -> Result<Application, Error> {
    let prefix = |text: String| KeyPrefix::parse(&text).map_err(|_| corrupt("key prefix", text));
    Ok(Application {
        id: parse(&row.application_id, "application id")?,
        name: name(&row.name)?,
        plan: limits::plan(&row.plan, row.rate_limits)?,
        max_cache_ttl: Duration::from_micros(u64::try_from(row.max_cache_ttl).map_err(|e| corrupt("cache ttl", e))?),
        key_prefix: row.key_prefix.map(prefix).transpose()?,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        revision: Revision::new(row.revision),
    })
}

pub(super) fn application_row(application: &Application) -> application::Model {
    let (plan, rate_limits) = limits::plan_row(&application.plan);
    application::Model {
        application_id: application.id.to_string(),
        name: application.name.to_string(),
        key_prefix: application.key_prefix.as_ref().map(|prefix| prefix.as_str().to_owned()),
        create_time: application.create_time.micros(),
        update_time: application.update_time.micros(),
        revision: application.revision.number(),
        plan,
        rate_limits,
        max_cache_ttl: i64::try_from(application.max_cache_ttl.as_micros()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
