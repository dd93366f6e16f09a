//! What is on its way: written with what it tells, claimed by who sends it, marked when it
//! has arrived.

mod claim;
mod forget;
mod mark;
mod queue;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::Expr,
};

pub use self::{
    claim::{Claimed, Destination, Slots},
    forget::GivenUp,
    mark::Marked,
};
pub(super) use self::{forget::forget_some_of, queue::line_up};
use super::{
    Error, Store, codec,
    entity::{delivery, notice},
};
use crate::{
    domain::{
        backoff,
        delivery::{Delivery, DeliveryFilter, DeliveryState},
        id::{DeliveryId, WebhookId},
        time::Timestamp,
    },
    entropy::Entropy,
};

/// By which way something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    Webhook,
    Mail,
}

impl Channel {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
        }
    }
}

pub(super) async fn put(
    db: &impl ConnectionTrait,
    entropy: &Entropy,
    notice: &notice::Model,
    channel: Channel,
    destination: String,
) -> Result<(), Error> {
    let id = DeliveryId::new(entropy.uuid(Timestamp::from_micros(notice.time))?);
    let order_key = notice.key_id.clone().unwrap_or_default();
    let state = queue::place(db, &destination, &order_key).await?.to_owned();
    let row = delivery::Model {
        delivery_id: id.to_string(),
        channel: channel.word().to_owned(),
        destination,
        notice_id: notice.notice_id,
        seq: notice.seq,
        kind: notice.kind.clone(),
        application_id: notice.application_id.clone(),
        order_key,
        state,
        attempts: 0,
        create_time: notice.time,
        give_up_time: give_up_time(Timestamp::from_micros(notice.time)),
        // At once, whatever a clock says then.
        next_attempt_time: 0,
        claimed_by: None,
        claimed_until: 0,
        last_attempt_time: None,
        last_status: None,
        last_error: String::new(),
    };
    delivery::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    Ok(())
}

/// Of what happens now, or is to be tried anew from now on.
pub(super) fn give_up_time(now: Timestamp) -> i64 {
    now.checked_add(backoff::TRIED).unwrap_or(Timestamp::MAX).micros()
}

/// Takes every claim away: whoever had one is known to be gone.
pub(super) async fn release_all(db: &impl ConnectionTrait) -> Result<(), Error> {
    delivery::Entity::update_many()
        .col_expr(delivery::Column::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
        .col_expr(delivery::Column::ClaimedUntil, Expr::value(0_i64))
        .filter(delivery::Column::ClaimedBy.is_not_null())
        .exec(db)
        .await?;
    Ok(())
}

pub(super) async fn list(
    db: &impl ConnectionTrait,
    webhook: WebhookId,
    filter: &DeliveryFilter,
    after: Option<i64>,
    size: u64,
) -> Result<Vec<Delivery>, Error> {
    use delivery::Column as C;
    let mut query = delivery::Entity::find().filter(C::Channel.eq(Channel::Webhook.word()));
    query = query.filter(C::Destination.eq(webhook.to_string()));
    query = match filter.state {
        Some(DeliveryState::Pending) => query.filter(C::State.is_in(codec::OPEN)),
        Some(state) => query.filter(C::State.eq(codec::state(state))),
        None => query,
    };
    if let Some(key) = filter.key_id {
        query = query.filter(C::OrderKey.eq(key.to_string()));
    }
    if let Some(after) = after {
        query = query.filter(C::Seq.gt(after));
    }
    // Each notice once: ids of the same millisecond have no order.
    let rows = query.order_by_asc(C::Seq).limit(size).all(db).await?;
    rows.into_iter().map(codec::delivery).collect()
}

/// `line(place)`: the destinations of deliveries that are so, from one to the next along an
/// index, however many deliveries there are.
fn places(so: &str) -> String {
    let min = format!("SELECT min(destination) FROM delivery WHERE {so} AND destination >");
    format!(
        "WITH RECURSIVE line(place) AS ({min} '' UNION ALL SELECT ({min} line.place) FROM line WHERE line.place IS NOT NULL)"
    )
}

impl Store {
    /// Whether what is told from now on goes to mailboxes too.
    pub fn deliver_mail(&self, there_is_a_server: bool) {
        self.inner.mail.store(there_is_a_server, std::sync::atomic::Ordering::Relaxed);
    }

    /// How many are to be told and are not yet, whoever does; not more than `most` are counted.
    pub async fn deliveries_waiting(&self, most: u64) -> Result<usize, Error> {
        self.detached(async move |store| {
            let waiting = delivery::Entity::find()
                .select_only()
                .column(delivery::Column::DeliveryId)
                .filter(delivery::Column::State.is_in(codec::OPEN))
                .limit(most)
                .into_tuple::<String>()
                .all(&store.looks())
                .await?;
            Ok(waiting.len())
        })
        .await
    }

    /// Waits until this process has written something that is to be told.
    pub async fn told(&self) {
        self.inner.told.notified().await;
    }
}
