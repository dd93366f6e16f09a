use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::atomic::Ordering,
};

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    Error, Store, applications, codec,
    deliveries::{self, Channel},
    entity::{notice, notice_head},
    webhooks::{self, Hearer},
};
use crate::domain::{
    notice::{Notice, Told},
    time::Timestamp,
};

/// A notice as it will be sent.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) kind: String,
    /// Empty: of all applications.
    pub(super) application_id: String,
    pub(super) key_id: Option<String>,
    pub(super) payload: String,
}

impl Written {
    pub(super) fn of(notice: &Notice, now: Timestamp) -> Self {
        Self::of_told(&Told::Key(notice.clone()), now)
    }

    fn of_told(told: &Told, now: Timestamp) -> Self {
        Self {
            kind: told.kind().to_owned(),
            application_id: told.application_id().map_or_else(String::new, |id| id.to_string()),
            key_id: told.key_id().map(|id| id.to_string()),
            payload: codec::payload(told, now),
        }
    }
}

/// Who hears of what happens in an application.
struct Hearers {
    webhooks: Vec<Hearer>,
    mailboxes: BTreeSet<String>,
}

const HEAD: i16 = 1;

/// Takes so many numbers; answers the last of them. They are never given again, whatever is
/// forgotten. The row's lock is held to the end of the transaction, so the order of numbers is
/// the order of commits, on every engine. Where a transaction needs several heads it takes
/// the log's first, then this one, and the audit log's last: two locks in two orders would be a
/// deadlock.
async fn advance(db: &impl ConnectionTrait, by: i64) -> Result<i64, Error> {
    notice_head::Entity::update_many()
        .col_expr(notice_head::Column::Seq, Expr::col(notice_head::Column::Seq).add(by))
        .filter(notice_head::Column::Id.eq(HEAD))
        .exec(db)
        .await?;
    let head = notice_head::Entity::find_by_id(HEAD).all(db).await?.pop();
    Ok(head.ok_or_else(|| Error::Corrupt("no head of the notices".to_owned()))?.seq)
}

/// Keeps everybody else from telling anything until the end of the transaction: whoever changes a
/// webhook takes this before it, as whoever tells does before it asks who hears.
pub(super) async fn take_head(db: &impl ConnectionTrait) -> Result<(), Error> {
    advance(db, 0).await.map(drop)
}

impl Store {
    /// Writes down what is to be told, in the transaction of what it tells.
    pub(super) async fn tell(&self, db: &impl ConnectionTrait, now: Timestamp, told: &[Told]) -> Result<(), Error> {
        self.tell_written(db, now, told.iter().map(|told| Written::of_told(told, now)).collect()).await
    }

    /// In this order, and to whom: who wants it is decided then and there, so that nothing that
    /// happened is missed or told to those who came later. Whoever commits rings for the courier.
    pub(super) async fn tell_written(
        &self,
        db: &impl ConnectionTrait,
        now: Timestamp,
        notices: Vec<Written>,
    ) -> Result<(), Error> {
        if notices.is_empty() {
            return Ok(());
        }
        let entropy = &self.inner.entropy;
        let count = i64::try_from(notices.len()).unwrap_or(i64::MAX);
        let last = advance(db, count).await?;
        let mut hearers = BTreeMap::new();
        for (notice, seq) in notices.into_iter().zip(last - count + 1..) {
            let Written { kind, application_id, key_id, payload } = notice;
            let hearers = match hearers.entry(application_id.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.hearers(db, &application_id).await?),
            };
            let notice_id = entropy.uuid(now)?;
            let row = notice::Model { notice_id, seq, time: now.micros(), kind, application_id, key_id, payload };
            for webhook in hearers.webhooks.iter().filter(|webhook| webhook.wants(&row.kind)) {
                deliveries::put(db, entropy, &row, Channel::Webhook, webhook.id.clone()).await?;
            }
            for mailbox in &hearers.mailboxes {
                deliveries::put(db, entropy, &row, Channel::Mail, mailbox.clone()).await?;
            }
            notice::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
        }
        Ok(())
    }

    async fn hearers(&self, db: &impl ConnectionTrait, application_id: &str) -> Result<Hearers, Error> {
        let webhooks = webhooks::hearing(db, application_id).await?;
        let has_mail = self.inner.mail.load(Ordering::Relaxed) && !application_id.is_empty();
        let application = match application_id.parse() {
            Ok(id) if has_mail => match applications::find(db, id).await {
                Err(error @ Error::Corrupt(_)) => {
                    tracing::error!(%error, application_id, "an application does not read: no mail is written to it");
                    None
                }
                found => found?,
            },
            _ => None,
        };
        let mailboxes = application.map(|application| application.notify_emails).unwrap_or_default();
        Ok(Hearers { webhooks, mailboxes: mailboxes.iter().map(ToString::to_string).collect() })
    }
}
