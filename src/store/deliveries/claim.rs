use std::{collections::HashMap, time::Duration};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select, Statement,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{Channel, places};
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
            let (now, due) = {
                let tx = store.look_at_outbox().await?;
                let now = store.time(&tx).await?;
                let due = destinations(&tx, &slots, now).await?;
                tx.commit().await?;
                (now, due)
            };
            if due.is_empty() {
                return Ok(Vec::new());
            }
            let (_turn, tx) = store.begin_outbox().await?;
            let mut claimed = Vec::new();
            for destination in due {
                let busy = slots.busy.get(&destination).copied().unwrap_or(0);
                let room = slots.each.saturating_sub(busy).min(slots.free - claimed.len());
                match claim(&tx, slots.channel, &destination, room, sender, now).await {
                    Ok(some) => claimed.extend(some),
                    Err(error @ Error::Corrupt(_)) => {
                        tracing::error!(destination, %error, "what is to be sent there does not read");
                    }
                    Err(error) => return Err(error),
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
            let claimed = delivery::Entity::find().select_only().column(delivery::Column::DeliveryId);
            let claimed = claimed.filter(delivery::Column::ClaimedBy.eq(sender));
            let claimed = claimed.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
            // What another has in hand is being held, given up or deleted.
            let claimed: Vec<String> = claimed.into_tuple().all(&tx).await?;
            delivery::Entity::update_many()
                .col_expr(delivery::Column::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
                .col_expr(delivery::Column::ClaimedUntil, Expr::value(0_i64))
                .filter(delivery::Column::DeliveryId.is_in(claimed))
                .exec(&tx)
                .await?;
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }
}

/// Where something is due and there is room, the longest due first. Goes from one destination to
/// the next along an index: what it costs is a matter of how many of them there are, not of how
/// much waits for them. What goes to a webhook that was deleted goes nowhere.
fn look(slots: &Slots, now: Timestamp, most: usize) -> String {
    let (channel, until) = (slots.channel.word(), now.checked_add(CLAIM).unwrap_or(now).micros());
    let (pending, now) = (codec::state(DeliveryState::Pending), now.micros());
    let so = format!("channel = '{channel}' AND state = '{pending}'");
    let due = format!(
        "SELECT next_attempt_time FROM delivery WHERE {so} AND destination = line.place AND next_attempt_time <= {now} \
         AND (claimed_until <= {now} OR claimed_until > {until}) ORDER BY next_attempt_time LIMIT 1"
    );
    let failing = match slots.channel {
        Channel::Mail => String::new(),
        Channel::Webhook => {
            let is = if slots.failing { "IS NOT NULL" } else { "IS NULL" };
            format!("AND EXISTS (SELECT 1 FROM webhook WHERE webhook_id = line.place AND failing_since {is})")
        }
    };
    format!(
        "{} SELECT place FROM (SELECT line.place, ({due}) AS due FROM line WHERE line.place IS NOT NULL {failing}) AS found \
         WHERE due IS NOT NULL ORDER BY due LIMIT {most}",
        places(&so)
    )
}

async fn destinations(db: &impl ConnectionTrait, slots: &Slots, now: Timestamp) -> Result<Vec<String>, Error> {
    let is_full = |place: &String| slots.busy.get(place).is_some_and(|busy| *busy >= slots.each);
    let sql = look(slots, now, slots.free.saturating_add(slots.busy.len()));
    let mut free = Vec::new();
    for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await? {
        let place: String = row.try_get_by_index(0)?;
        if !is_full(&place) {
            free.push(place);
        }
    }
    free.truncate(slots.free);
    Ok(free)
}

/// What may be sent there now: it is due, nobody has it, and nothing goes before it. In the order
/// of an index, whose first few are what others have.
fn due(channel: Channel, destination: &str, now: Timestamp) -> Select<delivery::Entity> {
    use delivery::Column as C;
    let until = now.checked_add(CLAIM).unwrap_or(now).micros();
    delivery::Entity::find()
        .filter(C::Channel.eq(channel.word()))
        .filter(C::State.eq(codec::state(DeliveryState::Pending)))
        .filter(C::Destination.eq(destination))
        .filter(C::NextAttemptTime.lte(now.micros()))
        // A claim that lasts longer than any can is of before a clock was set back.
        .filter(Condition::any().add(C::ClaimedUntil.lte(now.micros())).add(C::ClaimedUntil.gt(until)))
        .order_by_asc(C::NextAttemptTime)
        .order_by_asc(C::Seq)
}

async fn claim(
    db: &impl ConnectionTrait,
    channel: Channel,
    destination: &str,
    room: usize,
    sender: Sender,
    now: Timestamp,
) -> Result<Vec<delivery::Model>, Error> {
    use delivery::Column as C;
    // Waits for nobody: what another sender has in hand is not this one's, and what another says of
    // it is said in a moment.
    let due = due(channel, destination, now).limit(room as u64);
    let due = due.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked).all(db).await?;
    let until = now.checked_add(CLAIM).unwrap_or(now).micros();
    let still = if guard::on(Guard::Outbox) { DeliveryState::Pending } else { DeliveryState::Delivered };
    let mut claimed = Vec::new();
    for row in due {
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
            Err(error @ Error::Corrupt(_)) => {
                tracing::error!(delivery = id, %error, "a delivery does not read, and is tried again in an hour");
                put_off(db, id, format!("not sent, it does not read: {error}"), now).await?;
            }
            Err(error) => return Err(error),
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

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryTrait as _};

    use super::*;
    use crate::{clock::Clock, entropy::Entropy, store::DatabaseUrl};

    async fn plan(db: &impl ConnectionTrait, sql: &str) -> Vec<String> {
        let explain = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = db.query_all_raw(explain).await.expect("a plan");
        rows.iter().map(|row| row.try_get("", "detail").expect("a text")).collect()
    }

    #[tokio::test]
    async fn a_look_goes_by_indexes_and_sorts_no_backlog() {
        let folder = tempfile::tempdir().expect("folder");
        let url = DatabaseUrl::sqlite(folder.path().join("portcullis.db"));
        Store::migrate(&url).await.expect("migrate");
        let store = Store::open(&url, Clock::system(), Entropy::system()).await.expect("open");
        let tx = store.look_at_outbox().await.expect("begin");
        let now = Timestamp::from_seconds(1_795_219_200);
        for (channel, failing) in [(Channel::Webhook, false), (Channel::Webhook, true), (Channel::Mail, false)] {
            let slots = Slots { channel, failing, free: 32, each: 4, busy: HashMap::new() };
            let plan = plan(&tx, &look(&slots, now, 32)).await;
            let of_deliveries: Vec<_> = plan.iter().filter(|step| step.contains("delivery")).collect();
            assert!(of_deliveries.len() >= 3, "{plan:#?}");
            for step in of_deliveries {
                assert!(step.starts_with("SEARCH") && step.contains("INDEX delivery_by_turn"), "{plan:#?}");
            }
        }
        let sql = due(Channel::Webhook, "wh_1", now).limit(4).build(DbBackend::Sqlite).to_string();
        let plan = plan(&tx, &sql).await;
        assert_eq!(plan.len(), 1, "no sorting: {plan:#?}");
        assert!(plan[0].contains("INDEX delivery_by_turn") && plan[0].contains("next_attempt_time<?"), "{plan:#?}");
    }
}
