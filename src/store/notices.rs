use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryOrder as _, QuerySelect as _,
};

use super::{
    Error, applications, codec,
    deliveries::{self, Channel},
    entity::notice,
    webhooks,
};
use crate::{
    domain::{id::ApplicationId, notice::Told, time::Timestamp, webhook::Webhook},
    entropy::Entropy,
};

/// Who hears of what happens in an application.
struct Hearers {
    webhooks: Vec<Webhook>,
    mailboxes: BTreeSet<String>,
}

/// Writes down what is to be told, and to whom, in the transaction of what it tells: who
/// wants it is decided then and there, so that nothing that happened is missed or told to
/// those who came later.
pub(super) async fn put(
    db: &impl ConnectionTrait,
    entropy: &Entropy,
    now: Timestamp,
    notices: &[Told],
    mail: bool,
) -> Result<(), Error> {
    if notices.is_empty() {
        return Ok(());
    }
    let last = notice::Entity::find().order_by_desc(notice::Column::Seq).limit(1).all(db).await?.pop();
    let mut hearers = BTreeMap::new();
    for (told, seq) in notices.iter().zip(last.map_or(0, |last| last.seq) + 1..) {
        let application = told.application_id();
        let row = notice::Model {
            notice_id: entropy.uuid(now)?,
            seq,
            time: now.micros(),
            kind: told.kind().to_owned(),
            application_id: application.map_or_else(String::new, |id| id.to_string()),
            key_id: told.key_id().map(|id| id.to_string()),
            payload: codec::payload(told, now),
        };
        let hearers = match hearers.entry(application) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(hearers_of(db, application, mail).await?),
        };
        let webhooks = hearers.webhooks.iter().filter(|webhook| webhook.wants(told.kind()));
        for webhook in webhooks {
            deliveries::put(db, entropy, &row, Channel::Webhook, webhook.id.to_string()).await?;
        }
        for mailbox in &hearers.mailboxes {
            deliveries::put(db, entropy, &row, Channel::Mail, mailbox.clone()).await?;
        }
        notice::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    }
    Ok(())
}

async fn hearers_of(
    db: &impl ConnectionTrait,
    application: Option<ApplicationId>,
    mail: bool,
) -> Result<Hearers, Error> {
    let id = application.map_or_else(String::new, |id| id.to_string());
    let webhooks = webhooks::hearing(db, &id).await?;
    let application = match application.filter(|_| mail) {
        Some(id) => applications::find(db, id, false).await?,
        None => None,
    };
    let mailboxes = application.map(|application| application.notify_emails).unwrap_or_default();
    Ok(Hearers { webhooks, mailboxes: mailboxes.iter().map(ToString::to_string).collect() })
}
