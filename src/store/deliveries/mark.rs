use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _, sea_query::Expr,
};

use super::{Channel, give_up_time, queue};
use crate::{
    domain::{
        backoff,
        delivery::{Attempt, DeliveryState, Sender},
        id::DeliveryId,
        time::Timestamp,
    },
    store::{
        Error, Store, codec,
        entity::{delivery, webhook},
        webhooks,
    },
};

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// It is over, or it is not this sender's any more.
    Done,
    Again {
        attempts: u32,
        after: Duration,
    },
    /// It waits for a key to sign with, as does all that goes there.
    Unsigned,
    GivenUp {
        attempts: u32,
    },
    /// It used up its attempts, and nothing else arrived there either: it stays, and its
    /// webhook is to be disabled.
    NothingArrives,
}

/// All attempts take a day, more or less: nothing arrived for this long and longer.
const ALL_DAY: Duration = Duration::from_secs(20 * 3600);

/// In which its webhook is disabled; if the process dies before that, an attempt after this
/// comes to the same end.
const MEANWHILE: Duration = Duration::from_secs(300);

/// Between two looks whether there is a key to sign with: it comes with a start of a server, and nobody says so. The
/// first one is sooner, since whoever forgot it notices at once.
const LOOK_SOON: Duration = Duration::from_secs(5);
const LOOK_FOR_KEY: Duration = Duration::from_secs(300);
/// How long what waited for a key is tried at least, once it is there.
const STILL_TRIED: Duration = Duration::from_hours(12);

impl Store {
    /// Says what came of sending; `fraction`, from 0 to 1, is jitter. To be told again if the
    /// commit is unknown.
    pub async fn mark_delivery(
        &self,
        id: DeliveryId,
        sender: Sender,
        attempt: Attempt,
        fraction: f64,
    ) -> Result<Marked, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_outbox().await?;
            let Some(row) = delivery::Entity::find_by_id(id.to_string()).all(&tx).await?.pop() else {
                tx.rollback().await?;
                return Ok(Marked::Done);
            };
            // The webhook first, as whoever disables it does. A mailbox is no row.
            webhooks::lock(&tx, &row.destination).await?;
            let row = delivery::Entity::find_by_id(id.to_string()).lock_exclusive().all(&tx).await?.pop();
            let now = store.time(&tx).await?;
            let marked = match row {
                Some(row) if is_open(&row) => mark(&tx, row, sender, &attempt, fraction, now).await?,
                // Deleted with its webhook, or another sender was faster.
                _ => Marked::Done,
            };
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(marked)
        })
        .await
    }
}

fn is_open(row: &delivery::Model) -> bool {
    codec::OPEN.contains(&row.state.as_str()) || row.state == codec::state(DeliveryState::Held)
}

async fn mark(
    db: &impl ConnectionTrait,
    mut row: delivery::Model,
    sender: Sender,
    attempt: &Attempt,
    fraction: f64,
    now: Timestamp,
) -> Result<Marked, Error> {
    let delivered = matches!(attempt, Attempt::Delivered { .. });
    if row.claimed_by != Some(sender) && !delivered {
        return Ok(Marked::Done);
    }
    row.attempts = row.attempts.saturating_add(1);
    let attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX);
    row.last_attempt_time = Some(now.micros());
    let (status, why) = match attempt {
        Attempt::Delivered { status } => (*status, ""),
        Attempt::Failed { status, why } => (*status, why.as_str()),
        Attempt::Refused { why } | Attempt::Unsigned { why } => (None, why.as_str()),
        Attempt::Gone => (Some(410), "HTTP 410: the receiver wants nothing more"),
    };
    let is_as_before = row.last_error == why;
    (row.last_status, row.last_error) = (status.map(i32::from), why.to_owned());
    let is_webhook = row.channel == Channel::Webhook.word();
    let later = now.checked_add(MEANWHILE).unwrap_or(now).micros();
    let marked = match attempt {
        Attempt::Delivered { .. } => {
            row.state = codec::state(DeliveryState::Delivered).to_owned();
            webhooks::no_longer_failing(db, &row.destination).await?;
            Marked::Done
        }
        Attempt::Unsigned { .. } => {
            row.attempts -= 1;
            let look = if is_as_before { LOOK_FOR_KEY } else { LOOK_SOON };
            row.next_attempt_time = now.checked_add(look).unwrap_or(now).micros();
            wait_for_key(db, &row, now).await?;
            Marked::Unsigned
        }
        Attempt::Refused { .. } => {
            row.state = codec::state(DeliveryState::Failed).to_owned();
            Marked::GivenUp { attempts }
        }
        Attempt::Gone => {
            row.next_attempt_time = later;
            Marked::NothingArrives
        }
        Attempt::Failed { .. } => {
            let since = if is_webhook { failing(db, &row.destination, now).await? } else { None };
            // What was never first before, and is old already, has had its one attempt.
            let is_old = now.micros() >= row.give_up_time;
            match backoff::delay(attempts, fraction).filter(|_| !is_old) {
                Some(after) => {
                    row.next_attempt_time = now.checked_add(after).unwrap_or(now).micros();
                    Marked::Again { attempts, after }
                }
                None if since.is_some_and(|since| now.since(since) >= ALL_DAY) => {
                    row.next_attempt_time = later;
                    Marked::NothingArrives
                }
                None => {
                    row.state = codec::state(DeliveryState::Failed).to_owned();
                    Marked::GivenUp { attempts }
                }
            }
        }
    };
    let over = !is_open(&row);
    let (destination, order_key) = (row.destination.clone(), row.order_key.clone());
    save(db, row).await?;
    if over {
        queue::move_up(db, &destination, &order_key).await?;
    }
    Ok(marked)
}

/// All that is due there waits, too. When that took long, it is held neither against what waits nor against the receiver.
async fn wait_for_key(db: &impl ConnectionTrait, row: &delivery::Model, now: Timestamp) -> Result<(), Error> {
    use delivery::Column as C;
    let there = || delivery::Entity::update_many().filter(C::Destination.eq(&row.destination));
    there()
        .filter(C::Channel.eq(&row.channel))
        .col_expr(C::NextAttemptTime, Expr::value(now.checked_add(LOOK_FOR_KEY).unwrap_or(now).micros()))
        .filter(C::State.eq(codec::state(DeliveryState::Pending)))
        .filter(C::NextAttemptTime.lte(now.micros()))
        .exec(db)
        .await?;
    let soon = now.checked_add(STILL_TRIED).unwrap_or(now).micros();
    // What comes first is the oldest: a look at the others is needed twice a day.
    if row.give_up_time >= soon {
        return Ok(());
    }
    there()
        .col_expr(C::GiveUpTime, Expr::value(give_up_time(now)))
        .filter(C::State.is_in(codec::OPEN))
        .filter(C::GiveUpTime.lt(soon))
        .exec(db)
        .await?;
    webhooks::no_longer_failing(db, &row.destination).await
}

/// Notes that something failed there; answers since when nothing arrived.
async fn failing(db: &impl ConnectionTrait, id: &str, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    use webhook::Column as C;
    webhook::Entity::update_many()
        .col_expr(C::FailingSince, Expr::value(now.micros()))
        .filter(C::WebhookId.eq(id))
        .filter(C::FailingSince.is_null())
        .exec(db)
        .await?;
    let row = webhook::Entity::find_by_id(id).all(db).await?.pop();
    Ok(row.and_then(|row| row.failing_since).map(Timestamp::from_micros))
}

async fn save(db: &impl ConnectionTrait, row: delivery::Model) -> Result<(), Error> {
    use delivery::Column as C;
    delivery::Entity::update_many()
        .col_expr(C::State, Expr::value(row.state))
        .col_expr(C::Attempts, Expr::value(row.attempts))
        .col_expr(C::NextAttemptTime, Expr::value(row.next_attempt_time))
        .col_expr(C::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
        .col_expr(C::ClaimedUntil, Expr::value(0_i64))
        .col_expr(C::LastAttemptTime, Expr::value(row.last_attempt_time))
        .col_expr(C::LastStatus, Expr::value(row.last_status))
        .col_expr(C::LastError, Expr::value(row.last_error))
        .filter(C::DeliveryId.eq(row.delivery_id))
        .exec(db)
        .await?;
    Ok(())
}
