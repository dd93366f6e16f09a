use std::{sync::Arc, time::Duration};

use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction,
    sea_query::{Expr, ExprTrait as _, Func, SimpleExpr},
};
use uuid::Uuid;

use super::{
    AuditFilter, Error, KeyFilter, Store, accounts, applications, audit, connect::UNANSWERED, deliveries, keys, log,
    usage, webhooks,
};
use crate::{
    chain::{Head, Link},
    domain::{
        account::{Scope, ServiceAccount},
        application::Application,
        delivery::{Delivery, DeliveryFilter},
        event::Position,
        id::{ApplicationId, KeyId, Revision, ServiceAccountId, WebhookId},
        key::Key,
        page::PageRequest,
        refusal::Refusal,
        time::Timestamp,
        usage::{ChainUsage, Series, UsageRange, UsedKey, Whose},
        webhook::Webhook,
    },
};

/// One moment of the database.
#[derive(Debug)]
pub struct Snapshot {
    tx: DatabaseTransaction,
    revision: Revision,
}

/// Everything that the index keeps, as of one place in one history.
#[derive(Debug)]
pub struct Loaded {
    pub log_id: Uuid,
    pub position: Position,
    pub applications: Vec<Application>,
    pub accounts: Vec<ServiceAccount>,
    /// The database's time within it.
    pub time: Timestamp,
    /// The clock since boot when that was read, or earlier.
    pub time_at: Duration,
}

const LOAD_PAGE: u64 = 10_000;

impl Store {
    /// Reads one moment, in a task that a cancelled call cannot drop. A database that is
    /// behind what this replica has applied is not answered from.
    pub async fn read<T, F, Fut>(&self, at_least: Revision, read: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(Snapshot) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Refusal>> + Send,
    {
        let store = self.clone();
        let place = Arc::clone(&self.inner.reads).try_acquire_owned().map_err(|_| Refusal::Overloaded)?;
        let task = tokio::spawn(async move {
            let _place = place;
            let work = async {
                let tx = store.begin_read().await.map_err(Error::from)?;
                let (_, head) = log::head(&tx).await?;
                if head.revision < at_least {
                    return Err(Error::Forked.into());
                }
                read(Snapshot { tx, revision: head.revision }).await
            };
            // Nothing was to be written: it is known not to be.
            store.in_time(UNANSWERED, work).await.unwrap_or(Err(Refusal::StoreUnavailable))
        });
        match task.await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a read did not end");
                Err(Refusal::StoreUnavailable)
            }
        }
    }

    /// Loads what the index keeps; keys are handed over in pages, so that ten million of
    /// them are never in memory twice.
    pub async fn load(&self, mut each: impl FnMut(Vec<Key>)) -> Result<Loaded, Error> {
        let tx = self.begin_read().await?;
        let (time_at, time) = self.time_and_at(&tx).await?;
        let (log_id, position) = log::head(&tx).await?;
        let mut after = String::new();
        loop {
            let page = self.answered(UNANSWERED, keys::load(&tx, &after, LOAD_PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = last.id.to_string();
            each(page);
        }
        let applications = applications::load(&tx).await?;
        let accounts = accounts::load(&tx, "").await?;
        tx.rollback().await?;
        Ok(Loaded { log_id, position, applications, accounts, time, time_at })
    }
}

impl Snapshot {
    /// The last mutation that this moment holds.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub async fn key(&self, application: ApplicationId, key: KeyId) -> Result<Key, Refusal> {
        keys::find(&self.tx, application, key).await?.ok_or(Refusal::KeyNotFound)
    }

    /// A key of whichever application.
    pub async fn any_key(&self, key: KeyId) -> Result<Option<Key>, Refusal> {
        Ok(keys::find_any(&self.tx, key).await?)
    }

    /// All of a chain, oldest first.
    pub async fn chain(&self, chain: KeyId) -> Result<Vec<Key>, Refusal> {
        Ok(keys::chain(&self.tx, chain).await?)
    }

    pub async fn keys(
        &self,
        application: ApplicationId,
        filter: &KeyFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Vec<Key>, Refusal> {
        Ok(keys::list(&self.tx, application, filter, page, now).await?)
    }

    /// The same keys in the same order, with their usage as of `now`.
    pub async fn used(
        &self,
        application: ApplicationId,
        keys: Vec<Key>,
        now: Timestamp,
    ) -> Result<Vec<UsedKey>, Refusal> {
        Ok(usage::used(&self.tx, application, keys, now).await?)
    }

    pub async fn usage(&self, whose: Whose, range: &UsageRange) -> Result<Series, Refusal> {
        Ok(usage::series(&self.tx, whose, range).await?)
    }

    /// That of a whole chain, and what each of its keys had of it.
    pub async fn chain_usage(
        &self,
        application: ApplicationId,
        chain: KeyId,
        range: &UsageRange,
    ) -> Result<ChainUsage, Refusal> {
        Ok(usage::chain(&self.tx, application, chain, range).await?)
    }

    /// The last VALID verdict.
    pub async fn last_use(&self, whose: Whose) -> Result<Option<Timestamp>, Refusal> {
        Ok(usage::last_use(&self.tx, whose).await?)
    }

    pub async fn application(&self, id: ApplicationId) -> Result<Application, Refusal> {
        applications::find(&self.tx, id).await?.ok_or(Refusal::ApplicationNotFound)
    }

    pub async fn applications(
        &self,
        scope: &Scope,
        name_prefix: &str,
        page: &PageRequest,
    ) -> Result<Vec<Application>, Refusal> {
        Ok(applications::list(&self.tx, scope, name_prefix, page).await?)
    }

    /// `None`: of all applications.
    pub async fn webhook(&self, application: Option<ApplicationId>, id: WebhookId) -> Result<Webhook, Refusal> {
        webhooks::find(&self.tx, application, id, false).await?.ok_or(Refusal::WebhookNotFound)
    }

    pub async fn webhooks(
        &self,
        application: Option<ApplicationId>,
        page: &PageRequest,
    ) -> Result<Vec<Webhook>, Refusal> {
        Ok(webhooks::list(&self.tx, application, page).await?)
    }

    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Vec<Delivery>, Refusal> {
        let after = page.after.as_deref().map(str::parse).transpose().map_err(|_| Refusal::PageTokenInvalid)?;
        Ok(deliveries::list(&self.tx, webhook, filter, after, page.size + 1).await?)
    }

    pub async fn account(&self, id: ServiceAccountId) -> Result<ServiceAccount, Refusal> {
        accounts::find(&self.tx, id).await?.ok_or(Refusal::ServiceAccountNotFound)
    }

    /// Events of the audit log, and whether there are more.
    pub async fn audit_events(
        &self,
        scope: &Scope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<(Vec<Link>, bool), Refusal> {
        audit::list(&self.tx, scope, filter, page).await
    }

    /// Where the chain of the audit log ends.
    pub async fn audit_head(&self) -> Result<Head, Refusal> {
        Ok(audit::head(&self.tx).await?)
    }

    /// All whose name starts so; who may be shown to whom is the caller's to say.
    pub async fn accounts(&self, name_prefix: &str) -> Result<Vec<ServiceAccount>, Refusal> {
        Ok(accounts::load(&self.tx, name_prefix).await?)
    }
}

/// Starts with, in any engine, with case: `%` and `_` are characters like any other.
pub(super) fn starts_with(column: impl ColumnTrait, prefix: &str) -> Condition {
    let characters = i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX);
    let head: SimpleExpr = Func::cust("substr").arg(Expr::col(column)).arg(1_i32).arg(characters).into();
    Condition::all().add(head.eq(prefix))
}
