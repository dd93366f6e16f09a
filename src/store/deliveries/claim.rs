use std::{collections::HashMap, time::Duration};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
    sea_query::{Alias, Expr, ExprTrait as _, Order, Query, SelectStatement},
};

use super::Channel;
use crate::{
    domain::{
        delivery::{DeliveryState, Sender},
        id::{DeliveryId, NoticeId},
        time::Timestamp,
        webhook::Webhook,
    },
    guard::{self, Guard},
    store::{
        Error, Store, codec,
        entity::{delivery, notice, webhook},
    },
};

/// What a sender has room for.
#[derive(Debug, Clone)]
pub struct Slots {
    pub channel: Channel,
    /// Only where something failed lately, or only where nothing did.
    pub failing: bool,
    /// How many more.
    pub free: usize,
    /// How many at once to one destination.
    pub each: usize,
    /// How many are on their way there already.
    pub busy: HashMap<String, usize>,
}

/// A delivery that is this sender's to send, until its claim runs out.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub id: DeliveryId,
    pub notice_id: NoticeId,
    pub time: Timestamp,
    pub kind: String,
    pub payload: String,
    pub destination: String,
    pub to: Destination,
}

#[derive(Debug, Clone)]
pub enum Destination {
    Webhook(Box<Webhook>),
    Mailbox(String),
}

/// Well above what sending one may take. A sender that is gone loses its claims then.
const CLAIM: Duration = Duration::from_secs(60);
/// How long one rests that does not read.
const REST: Duration = Duration::from_hours(1);

impl Store {
    /// Claims what is due, durably, before anything is sent: two senders never have the same
    /// one at once. Within a destination and a key nothing is claimed before what goes before
    /// it has arrived or was given up.
    pub async fn claim_deliveries(&self, sender: Sender, slots: Slots) -> Result<Vec<Claimed>, Error> {
        self.detached(async move |store| {
            let now = store.database_time();
            let due = {
                let tx = store.look_at_outbox().await?;
                let due = destinations(&tx, &slots, now).await?;
                tx.commit().await?;
                due
            };
            if due.is_empty() {
                return Ok(Vec::new());
            }
            let (_turn, tx) = store.begin_outbox().await?;
            let mut claimed = Vec::new();
            for destination in due {
                let busy = slots.busy.get(&destination).copied().unwrap_or(0);
                let room = slots.each.saturating_sub(busy).min(slots.free - claimed.len());
                match claim(&tx, &destination, room, sender, now).await {
                    Ok(some) => claimed.extend(some),
                    Err(error) => tracing::error!(destination, %error, "what is to be sent there does not read"),
                }
            }
            let claimed = with_contents(&tx, claimed, now).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(claimed)
        })
        .await
    }

    /// Lets go of what this sender has claimed and not sent.
    pub async fn release_deliveries(&self, sender: Sender) -> Result<(), Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_outbox().await?;
            delivery::Entity::update_many()
                .col_expr(delivery::Column::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
                .col_expr(delivery::Column::ClaimedUntil, Expr::value(0_i64))
                .filter(delivery::Column::ClaimedBy.eq(sender))
                .exec(&tx)
                .await?;
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }
}

/// What may be sent now: it is due, nobody has it, and nothing goes before it.
fn is_due(now: Timestamp) -> Condition {
    use delivery::Column as C;
    let until = now.checked_add(CLAIM).unwrap_or(now).micros();
    let is_first = guard::on(Guard::Order).then(|| Expr::exists(earlier()).not());
    Condition::all()
        .add(C::State.eq(codec::state(DeliveryState::Pending)))
        .add(C::NextAttemptTime.lte(now.micros()))
        // A claim that lasts longer than any can is of before a clock was set back.
        .add(Condition::any().add(C::ClaimedUntil.lte(now.micros())).add(C::ClaimedUntil.gt(until)))
        .add_option(is_first)
}

fn earlier() -> SelectStatement {
    use delivery::Column as C;
    let earlier = Alias::new("earlier");
    let of = |column: C| Expr::col((earlier.clone(), column));
    let this = |column: C| Expr::col((delivery::Entity, column));
    Query::select()
        .expr(Expr::val(1))
        .from_as(delivery::Entity, earlier.clone())
        .and_where(of(C::Destination).eq(this(C::Destination)))
        .and_where(of(C::State).eq(codec::state(DeliveryState::Pending)))
        .and_where(of(C::OrderKey).eq(this(C::OrderKey)))
        .and_where(of(C::Seq).lt(this(C::Seq)))
        .to_owned()
}

/// Where something is due and there is room, the longest due first.
async fn destinations(db: &impl ConnectionTrait, slots: &Slots, now: Timestamp) -> Result<Vec<String>, Error> {
    use delivery::Column as C;
    let full = slots.busy.iter().filter(|(_, busy)| **busy >= slots.each).map(|(destination, _)| destination.clone());
    let mut query = delivery::Entity::find()
        .select_only()
        .column(C::Destination)
        .filter(C::Channel.eq(slots.channel.word()))
        .filter(C::Destination.is_not_in(full))
        .filter(is_due(now))
        .group_by(C::Destination)
        .order_by(C::NextAttemptTime.min(), Order::Asc)
        .limit(slots.free as u64);
    if slots.channel == Channel::Webhook {
        let failing = webhook::Entity::find().select_only().column(webhook::Column::WebhookId);
        let failing = failing.filter(webhook::Column::FailingSince.is_not_null()).into_query();
        let of_these = C::Destination.in_subquery(failing);
        query = query.filter(if slots.failing { of_these } else { of_these.not() });
    }
    Ok(query.into_tuple().all(db).await?)
}

async fn claim(
    db: &impl ConnectionTrait,
    destination: &str,
    room: usize,
    sender: Sender,
    now: Timestamp,
) -> Result<Vec<delivery::Model>, Error> {
    use delivery::Column as C;
    let due = delivery::Entity::find().filter(C::Destination.eq(destination)).filter(is_due(now));
    let due = due.order_by_asc(C::NextAttemptTime).order_by_asc(C::Seq).limit(room as u64).all(db).await?;
    let until = now.checked_add(CLAIM).unwrap_or(now).micros();
    let still = if guard::on(Guard::Outbox) { DeliveryState::Pending } else { DeliveryState::Delivered };
    let mut claimed = Vec::new();
    for row in due {
        // Another sender may have come first, where the engine lets two write at once.
        let mine = delivery::Entity::update_many()
            .col_expr(C::ClaimedBy, Expr::value(Some(sender)))
            .col_expr(C::ClaimedUntil, Expr::value(until))
            .col_expr(C::State, Expr::value(codec::state(still)))
            .filter(C::DeliveryId.eq(&row.delivery_id))
            .filter(C::State.eq(codec::state(DeliveryState::Pending)))
            .filter(C::ClaimedUntil.eq(row.claimed_until))
            .exec(db)
            .await?;
        if mine.rows_affected == 1 {
            claimed.push(row);
        }
    }
    Ok(claimed)
}

/// What is to be sent, of those that read. The others are put off: each lies in its own row,
/// and none keeps the rest from being sent.
async fn with_contents(
    db: &impl ConnectionTrait,
    rows: Vec<delivery::Model>,
    now: Timestamp,
) -> Result<Vec<Claimed>, Error> {
    let mut whole = Vec::new();
    for row in rows {
        let id = row.delivery_id.clone();
        match contents(db, row).await {
            Ok(claimed) => whole.push(claimed),
            Err(error) => {
                tracing::error!(delivery = id, %error, "a delivery does not read, and is tried again in an hour");
                put_off(db, id, format!("not sent, it does not read: {error}"), now).await?;
            }
        }
    }
    Ok(whole)
}

async fn contents(db: &impl ConnectionTrait, row: delivery::Model) -> Result<Claimed, Error> {
    let notice = notice::Entity::find_by_id(row.notice_id).all(db).await?.pop();
    let notice = notice.ok_or_else(|| Error::Corrupt("a delivery of nothing".to_owned()))?;
    let to = if row.channel == Channel::Mail.word() {
        Destination::Mailbox(row.destination.clone())
    } else {
        let webhook = webhook::Entity::find_by_id(&row.destination).all(db).await?.pop();
        let webhook = webhook.ok_or_else(|| Error::Corrupt("a delivery to nobody".to_owned()))?;
        Destination::Webhook(Box::new(codec::webhook(webhook)?))
    };
    Ok(Claimed {
        id: row.delivery_id.parse().map_err(|_| Error::Corrupt(format!("delivery id {}", row.delivery_id)))?,
        notice_id: NoticeId::new(row.notice_id),
        time: Timestamp::from_micros(notice.time),
        kind: row.kind,
        payload: notice.payload,
        destination: row.destination,
        to,
    })
}

async fn put_off(db: &impl ConnectionTrait, id: String, why: String, now: Timestamp) -> Result<(), Error> {
    use delivery::Column as C;
    delivery::Entity::update_many()
        .col_expr(C::NextAttemptTime, Expr::value(now.checked_add(REST).unwrap_or(now).micros()))
        .col_expr(C::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
        .col_expr(C::ClaimedUntil, Expr::value(0_i64))
        .col_expr(C::LastError, Expr::value(why))
        .filter(C::DeliveryId.eq(id))
        .exec(db)
        .await?;
    Ok(())
}
