use sea_orm::{DatabaseTransaction, prelude::Json};

use super::Aside;
use crate::{
    domain::{
        account::ServiceAccount,
        application::Application,
        event::Cause,
        id::{ApplicationId, Revision},
        key::Key,
        time::Timestamp,
        webhook::Webhook,
    },
    store::{Error, accounts, applications, codec, imports, keys, timers, webhooks},
};

/// Something that is to be saved.
#[derive(Debug)]
pub(in crate::store) enum Save {
    Key {
        before: Option<Box<Key>>,
        after: Box<Key>,
        cause: Option<Cause>,
    },
    /// New ones of one application.
    Import {
        application: ApplicationId,
        keys: Vec<Key>,
    },
    Application {
        before: Option<Application>,
        after: Application,
        cause: Option<Cause>,
    },
    Account {
        before: Option<ServiceAccount>,
        after: ServiceAccount,
    },
    Webhook {
        before: Option<Box<Webhook>>,
        after: Option<Box<Webhook>>,
    },
}

/// What was written, for the log and for the audit.
pub(in crate::store) struct Written {
    /// None: what answers are made from does not change by it.
    pub(in crate::store) change: Option<codec::ChangeRow>,
    pub(in crate::store) before: Option<Json>,
    pub(in crate::store) after: Option<Json>,
}

impl Save {
    /// Writes when something is due for it, unless a job says so itself.
    pub(in crate::store) async fn time(
        &self,
        db: &DatabaseTransaction,
        asides: &[Aside],
        now: Timestamp,
    ) -> Result<(), Error> {
        match self {
            Self::Key { before, after, .. } if !asides.iter().any(|aside| aside.times(after.id)) => {
                timers::follow(db, before.as_deref(), after, now).await
            }
            Self::Import { keys, .. } => imports::time(db, keys, now).await,
            Self::Key { .. } | Self::Application { .. } | Self::Account { .. } | Self::Webhook { .. } => Ok(()),
        }
    }

    /// The id of what is saved.
    pub(in crate::store) fn id(&self) -> String {
        match self {
            Self::Key { after, .. } => after.id.to_string(),
            Self::Import { application, .. } => application.to_string(),
            Self::Application { after, .. } => after.id.to_string(),
            Self::Account { after, .. } => after.id.to_string(),
            Self::Webhook { before, after } => {
                after.as_ref().or(before.as_ref()).map_or_else(String::new, |webhook| webhook.id.to_string())
            }
        }
    }

    pub(in crate::store) fn is_new(&self) -> bool {
        match self {
            Self::Key { before, .. } => before.is_none(),
            Self::Import { .. } => true,
            Self::Application { before, .. } => before.is_none(),
            Self::Account { before, .. } => before.is_none(),
            Self::Webhook { before, .. } => before.is_none(),
        }
    }

    /// Whose it is.
    pub(in crate::store) fn application_id(&self) -> Option<ApplicationId> {
        match self {
            Self::Key { after, .. } => Some(after.application_id),
            Self::Import { application, .. } => Some(*application),
            Self::Application { after, .. } => Some(after.id),
            Self::Account { .. } => None,
            Self::Webhook { before, after } => after.as_ref().or(before.as_ref())?.application_id,
        }
    }

    /// Writes the row as of `revision`.
    pub(in crate::store) async fn write(self, db: &DatabaseTransaction, revision: Revision) -> Result<Written, Error> {
        match self {
            Self::Key { before, mut after, cause } => {
                after.revision = revision;
                let row = codec::key_row(&after);
                keys::put(db, row.clone()).await?;
                let before = before.map(|key| json(&codec::key_row(&key))).transpose()?;
                let (cause, after) = (cause.map(codec::cause), Some(json(&row)?));
                Ok(Written { change: Some(codec::ChangeRow::Key { row: Box::new(row), cause }), before, after })
            }
            Self::Import { keys, .. } => imports::write(db, keys, revision).await,
            Self::Application { before, mut after, cause } => {
                after.revision = revision;
                let row = codec::application_row(&after);
                applications::put(db, row.clone()).await?;
                let before = before.map(|application| json(&codec::application_row(&application))).transpose()?;
                let (cause, after) = (cause.map(codec::cause), Some(json(&row)?));
                Ok(Written { change: Some(codec::ChangeRow::Application { row, cause }), before, after })
            }
            Self::Account { before, mut after } => {
                after.revision = revision;
                let (row, keys) = codec::account_rows(&after);
                accounts::put(db, row.clone(), keys.clone()).await?;
                let before = before.map(|account| json(&codec::account_rows(&account))).transpose()?;
                let after = Some(json(&(&row, &keys))?);
                Ok(Written { change: Some(codec::ChangeRow::ServiceAccount { row, keys }), before, after })
            }
            Self::Webhook { before, after } => {
                match (&before, after.as_deref()) {
                    (None, None) => {}
                    (Some(before), None) => webhooks::delete(db, before.id).await?,
                    (before, Some(after)) => {
                        webhooks::put(db, before.as_deref(), &Webhook { revision, ..after.clone() }).await?;
                    }
                }
                let before = before.map(|webhook| json(&codec::webhook_row(&webhook))).transpose()?;
                let after =
                    after.map(|after| json(&codec::webhook_row(&Webhook { revision, ..*after }))).transpose()?;
                Ok(Written { change: None, before, after })
            }
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| Error::Corrupt(error.to_string()))
}
