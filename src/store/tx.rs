mod save;
mod upkeep;

use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{DatabaseTransaction, prelude::Json};
use uuid::Uuid;

use super::{
    CreateRequest, Error, accounts, applications, codec,
    entity::event_log,
    keys, notices,
    requests::{self, Earlier},
    webhooks,
};
use crate::{
    domain::{
        account::ServiceAccount,
        application::Application,
        event::Cause,
        id::{ApplicationId, KeyId, Revision, ServiceAccountId, WebhookId},
        key::Key,
        lineage::Successor,
        notice::{Notice, Told, WebhookNotice, What},
        refusal::Refusal,
        time::Timestamp,
        webhook::Webhook,
    },
    signing::Kid,
};

use save::json;
pub(super) use save::{Save, Written};
pub(super) use upkeep::Aside;

/// A transaction that is deciding: it reads, and notes what is to be saved. What it read
/// cannot change before it commits, since it has the log's head. Saving happens at the end, when
/// the revision is known.
#[derive(Debug, Clone)]
pub struct Tx {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) db: DatabaseTransaction,
    pub(super) now: Timestamp,
    /// The log's head, which this transaction has.
    pub(super) head: super::log::Head,
    /// The caller as of now; `None` for the operator.
    pub(super) actor: Option<ServiceAccount>,
    pub(super) notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) saves: Vec<Save>,
    pub(super) notices: Vec<Told>,
    pub(super) asides: Vec<Aside>,
    pub(super) made: Option<(CreateRequest, String)>,
    /// For the audit, beside what is saved.
    pub(super) remarks: Vec<Json>,
    /// It is a revision whether it changes anything or not.
    pub(super) numbered: bool,
}

impl Inner {
    /// Whether verifiers may have been told more than will hold: by what this changes, or by
    /// what it may repeat or add to, an earlier change whose caller did not wait to the end.
    pub(super) fn narrows(&self) -> bool {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = |save: &Save| match save {
            Save::Key { before, .. } => before.is_some(),
            Save::Application { before, .. } => before.is_some(),
            Save::Import { .. } | Save::Account { .. } | Save::Webhook { .. } => false,
        };
        notes.saves.is_empty() || notes.saves.iter().any(changes)
    }
}

impl Tx {
    /// The database's time, as of this transaction's turn.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.now
    }

    /// The caller, as read in this transaction.
    pub fn actor(&self) -> Result<&ServiceAccount, Refusal> {
        self.inner.actor.as_ref().ok_or(Refusal::Internal)
    }

    /// The caller, if this application is in its scope.
    pub fn actor_in(&self, application: ApplicationId) -> Result<&ServiceAccount, Refusal> {
        let actor = self.actor()?;
        if actor.scope.holds(application) { Ok(actor) } else { Err(Refusal::ApplicationOutOfScope) }
    }

    pub async fn key(&self, application: ApplicationId, key: KeyId) -> Result<Key, Refusal> {
        keys::find(&self.inner.db, application, key).await?.ok_or(Refusal::KeyNotFound)
    }

    /// The keys of a chain that have not ended: few (`MAX_GOOD`).
    pub async fn good_of(&self, chain: KeyId) -> Result<Vec<Key>, Refusal> {
        Ok(keys::good(&self.inner.db, chain, self.inner.now).await?)
    }

    /// The one of a chain that has no successor.
    pub async fn newest_of(&self, chain: KeyId) -> Result<Option<Key>, Refusal> {
        Ok(keys::newest(&self.inner.db, chain).await?)
    }

    pub async fn application(&self, id: ApplicationId) -> Result<Application, Refusal> {
        applications::find(&self.inner.db, id).await?.ok_or(Refusal::ApplicationNotFound)
    }

    pub async fn account(&self, id: ServiceAccountId) -> Result<ServiceAccount, Refusal> {
        accounts::find(&self.inner.db, id).await?.ok_or(Refusal::ServiceAccountNotFound)
    }

    pub async fn accounts(&self) -> Result<Vec<ServiceAccount>, Refusal> {
        Ok(accounts::load(&self.inner.db, "").await?)
    }

    pub async fn owner_of(&self, kid: &Kid) -> Result<Option<ServiceAccountId>, Refusal> {
        Ok(accounts::owner(&self.inner.db, kid).await?)
    }

    /// What this request made when it came first, if it did.
    pub async fn made_before(&self, request: Option<&CreateRequest>) -> Result<Option<String>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        match requests::find(&self.inner.db, self.actor()?.id, request, self.now()).await? {
            Earlier::Nothing => Ok(None),
            Earlier::Made(resource_id) => Ok(Some(resource_id)),
            Earlier::Other => Err(Refusal::RequestIdReused),
        }
    }

    /// Notes what this request makes.
    pub fn made(&self, request: Option<CreateRequest>, resource_id: impl ToString) {
        if let Some(request) = request {
            self.notes().made = Some((request, resource_id.to_string()));
        }
    }

    pub fn save_key(&self, before: Option<Key>, after: Key, cause: Option<Cause>) {
        self.notes().saves.push(Save::Key { before: before.map(Box::new), after: Box::new(after), cause });
    }

    /// Both keys of a rotation, and what is told of it: with no overlap the old key has ended, else
    /// what was answered of it may not be kept beyond its end.
    pub fn save_rotation(&self, before: Key, old: Key, new: Key) {
        let cause = if old.revoked.is_some() { Cause::Rotated } else { Cause::Narrowed };
        if let Some(Successor { key_id: successor, overlap_end_time }) = old.lineage.successor {
            self.notify(Notice::of(&old, What::Rotated { successor, overlap_end_time }));
        }
        self.save_key(None, new, None);
        self.save_key(Some(before), old, Some(cause));
    }

    pub fn save_application(&self, before: Option<Application>, after: Application, cause: Option<Cause>) {
        self.notes().saves.push(Save::Application { before, after, cause });
    }

    pub fn save_account(&self, before: Option<ServiceAccount>, after: ServiceAccount) {
        self.notes().saves.push(Save::Account { before, after });
    }

    /// Notes what is to be told of it, in the order of telling.
    pub fn notify(&self, notice: Notice) {
        self.notes().notices.push(Told::Key(notice));
    }

    /// As [`Tx::notify`], of a webhook.
    pub fn notify_of_webhook(&self, notice: WebhookNotice) {
        self.notes().notices.push(Told::Webhook(notice));
    }

    /// Whether every replica reads events with this cause. An event with it may be written then.
    pub async fn all_read(&self, cause: Cause) -> Result<bool, Refusal> {
        Ok(super::log::admit(&self.inner.db, cause.since()).await?)
    }

    /// `None`: of all applications. It stays as it is to the end of the transaction, and so does what
    /// is on its way there.
    pub async fn webhook(&self, application: Option<ApplicationId>, id: WebhookId) -> Result<Webhook, Refusal> {
        notices::take_head(&self.inner.db).await?;
        webhooks::find(&self.inner.db, application, id, true).await?.ok_or(Refusal::WebhookNotFound)
    }

    /// How many an application has; `None`: how many are of all applications.
    pub async fn webhook_count(&self, application: Option<ApplicationId>) -> Result<u64, Refusal> {
        Ok(webhooks::count(&self.inner.db, application).await?)
    }

    /// With nothing after it, it is deleted.
    pub fn save_webhook(&self, before: Option<Webhook>, after: Option<Webhook>) {
        self.notes().saves.push(Save::Webhook { before: before.map(Box::new), after: after.map(Box::new) });
    }

    pub(super) fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event of a mutation.
pub(super) fn event_row(
    revision: Revision,
    event_id: Uuid,
    now: Timestamp,
    changes: &[codec::ChangeRow],
) -> Result<event_log::Model, Error> {
    Ok(event_log::Model { seq: revision.number(), event_id, time: now.micros(), changes: json(&changes)? })
}
