//! Rows and events to domain values and back. A row that does not read is [`Error::Corrupt`].

mod limits;

use std::{collections::BTreeSet, fmt::Display, str::FromStr, time::Duration};

use sea_orm::prelude::Json;
use serde::{Deserialize, Serialize};

use super::{
    Error,
    entity::{api_key, application, service_account, service_account_key},
};
use crate::domain::{
    account::{AccountKey, Role, Scope, ServiceAccount},
    application::Application,
    event::{ApplicationChange, Cause, Change, KeyChange},
    id::Revision,
    key::{Key, KeyEnvironment, KeyType, RevokeReason, Revoked},
    limit::QuotaPeriod,
    restriction::Restrictions,
    secret::{HASH_VERSION, KeyPrefix, SecretHash},
    text::{Label, Name, Note},
    time::Timestamp,
};

pub(super) use limits::NO_PLAN;

/// A change as it stands in the log: the whole row, so that applying it needs no query.
/// A kind that this version does not know does not read, and the replica stops serving.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "one is read or written at a time")]
pub(super) enum ChangeRow {
    Key {
        row: api_key::Model,
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
                let key = key(row)?;
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

/// An enum as it is stored. Writing is exhaustive: a variant without a word does not build.
trait Word: Copy + 'static {
    const ALL: &'static [Self];

    fn word(self) -> &'static str;

    fn read(word: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|value| value.word() == word).ok_or_else(|| corrupt("word", word))
    }
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl Word for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}

// Behind the macro, which it uses.
mod usage;

pub(super) use usage::{read_verdict, unit, verdict};

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

pub(super) fn key(row: api_key::Model) -> Result<Key, Error> {
    let labels: Vec<(String, String)> = serde_json::from_value(row.labels).map_err(|e| corrupt("labels", e))?;
    let labels = labels.iter().map(|(key, value)| Label::parse(key, value).map_err(|e| corrupt("label", e)));
    let hash: [u8; 32] = row.secret_sha256.try_into().map_err(|_| corrupt("hash of", &row.key_id))?;
    if row.hash_version != HASH_VERSION {
        return Err(corrupt("hash version", row.hash_version));
    }
    let revoked = match (row.revoke_time, row.revoke_reason) {
        (Some(time), Some(reason)) => Some(Revoked {
            time: Timestamp::from_micros(time),
            reason: RevokeReason::read(&reason)?,
            comment: note(&row.revoke_comment)?,
        }),
        (None, None) => None,
        _ => return Err(corrupt("half a revocation of", &row.key_id)),
    };
    Ok(Key {
        id: parse(&row.key_id, "key id")?,
        application_id: parse(&row.application_id, "application id")?,
        name: name(&row.name)?,
        description: note(&row.description)?,
        kind: KeyType::read(&row.key_type)?,
        environment: KeyEnvironment::read(&row.environment)?,
        prefix: row.prefix,
        hash: SecretHash::from_bytes(hash),
        permissions: list(row.permissions, "permission")?,
        restrictions: Restrictions {
            ip_ranges: list(row.ip_allowlist, "IP range")?,
            referrers: list(row.referrer_allowlist, "referrer")?,
            resources: list(row.resource_allowlist, "resource")?,
        },
        limits: limits::limits(row.rate_limits, row.quotas)?,
        labels: labels.collect::<Result<_, _>>()?,
        disabled: row.disabled,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        expire_time: row.expire_time.map(Timestamp::from_micros),
        revoked,
        created_by: parse(&row.created_by, "service account id")?,
        revision: Revision::new(row.revision),
    })
}

pub(super) fn key_row(key: &Key) -> api_key::Model {
    let labels: Vec<(&str, &str)> = key.labels.iter().map(|label| (label.key(), label.value())).collect();
    api_key::Model {
        key_id: key.id.to_string(),
        application_id: key.application_id.to_string(),
        name: key.name.to_string(),
        description: key.description.to_string(),
        key_type: key.kind.word().to_owned(),
        environment: environment(key.environment),
        prefix: key.prefix.clone(),
        secret_sha256: key.hash.as_bytes().to_vec(),
        hash_version: HASH_VERSION,
        permissions: texts(&key.permissions),
        labels: serde_json::json!(labels),
        disabled: key.disabled,
        create_time: key.create_time.micros(),
        update_time: key.update_time.micros(),
        expire_time: key.expire_time.map(Timestamp::micros),
        revoke_time: key.revoked.as_ref().map(|revoked| revoked.time.micros()),
        revoke_reason: key.revoked.as_ref().map(|revoked| revoked.reason.word().to_owned()),
        revoke_comment: key.revoked.as_ref().map_or_else(String::new, |revoked| revoked.comment.to_string()),
        created_by: key.created_by.to_string(),
        revision: key.revision.number(),
        ip_allowlist: texts(&key.restrictions.ip_ranges),
        referrer_allowlist: texts(&key.restrictions.referrers),
        resource_allowlist: texts(&key.restrictions.resources),
        rate_limits: limits::rate_limits_json(&key.limits.rate_limits),
        quotas: limits::quotas_json(&key.limits.quotas),
    }
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

pub(super) fn account(
    row: service_account::Model,
    keys: Vec<service_account_key::Model>,
) -> Result<ServiceAccount, Error> {
    let roles: Vec<String> = serde_json::from_value(row.roles).map_err(|error| corrupt("roles", error))?;
    let scope = match row.all_applications {
        true => Scope::All,
        false => Scope::Only(list(row.application_ids, "application id")?.into_iter().collect()),
    };
    let key = |key: service_account_key::Model| -> Result<AccountKey, Error> {
        Ok(AccountKey {
            kid: parse(&key.kid, "kid")?,
            public_key_pem: key.public_key_pem,
            create_time: Timestamp::from_micros(key.create_time),
        })
    };
    Ok(ServiceAccount {
        id: parse(&row.service_account_id, "service account id")?,
        name: name(&row.name)?,
        client_email: row.client_email,
        roles: roles.iter().map(|role| Role::read(role)).collect::<Result<BTreeSet<_>, _>>()?,
        scope,
        grantable: list(row.grantable_permissions, "permission")?,
        keys: keys.into_iter().map(key).collect::<Result<_, _>>()?,
        disabled: row.disabled,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        revision: Revision::new(row.revision),
    })
}

pub(super) fn account_rows(account: &ServiceAccount) -> (service_account::Model, Vec<service_account_key::Model>) {
    let (all_applications, application_ids) = match &account.scope {
        Scope::All => (true, Json::Array(Vec::new())),
        Scope::Only(ids) => (false, texts(ids)),
    };
    let row = service_account::Model {
        service_account_id: account.id.to_string(),
        name: account.name.to_string(),
        client_email: account.client_email.clone(),
        roles: Json::from(account.roles.iter().map(|role| role.word()).collect::<Vec<_>>()),
        all_applications,
        application_ids,
        grantable_permissions: texts(&account.grantable),
        disabled: account.disabled,
        create_time: account.create_time.micros(),
        update_time: account.update_time.micros(),
        revision: account.revision.number(),
    };
    let key = |key: &AccountKey| service_account_key::Model {
        kid: key.kid.to_string(),
        service_account_id: account.id.to_string(),
        public_key_pem: key.public_key_pem.clone(),
        create_time: key.create_time.micros(),
    };
    (row, account.keys.iter().map(key).collect())
}

#[cfg(test)]
mod tests;
