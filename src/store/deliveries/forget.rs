use std::{collections::BTreeSet, time::Duration};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Select, Statement,
    sea_query::{Expr, ExprTrait as _, LockBehavior, LockType},
};

use super::{Channel, places, queue};
use crate::{
    domain::{delivery::DeliveryState, time::Timestamp},
    store::{
        Error, Store, codec,
        entity::{delivery, notice},
        forget::delete_unlocked,
        webhooks,
    },
};

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    pub rows: u64,
    /// What was never sent, since its webhook stayed disabled.
    pub held: u64,
}

/// How many were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub webhooks: u64,
    pub mail: u64,
}

/// Rows a transaction: nobody waits long behind it.
const FORGOTTEN: u64 = 1000;
/// What failed is shown for a day longer: it may have been given up only when it was old.
const SHOWN: Duration = Duration::from_hours(24);
const TOO_OLD: &str = "not delivered in time: it waited for too long";

/// Of one state, from before then, the oldest of them.
fn old(state: &str, before: Timestamp) -> Select<delivery::Entity> {
    use delivery::Column as C;
    let old = delivery::Entity::find().filter(C::State.eq(state)).filter(C::CreateTime.lt(before.micros()));
    old.order_by_asc(C::CreateTime).limit(FORGOTTEN)
}

/// A webhook that is there no more, and that something is to be told.
fn to_nobody() -> String {
    let lines = places(&format!("channel = '{}'", Channel::Webhook.word()));
    let is_there = "SELECT 1 FROM webhook WHERE webhook_id = line.place";
    format!("{lines} SELECT place FROM line WHERE place IS NOT NULL AND NOT EXISTS ({is_there}) LIMIT 1")
}

/// A chunk of what is for a webhook. Answers how many there were.
pub(in crate::store) async fn forget_some_of(db: &impl ConnectionTrait, webhook: &str) -> Result<u64, Error> {
    use delivery::Column as C;
    let some = delivery::Entity::find()
        .filter(C::Channel.eq(Channel::Webhook.word()))
        .filter(C::Destination.eq(webhook))
        .order_by_asc(C::Seq)
        .limit(FORGOTTEN);
    delete_unlocked(db, some).await
}

fn told_and_old(before: Timestamp) -> Select<notice::Entity> {
    use notice::Column as C;
    let of_it = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::DeliveryId)
        .filter(Expr::col((delivery::Entity, delivery::Column::NoticeId)).eq(Expr::col((notice::Entity, C::NoticeId))));
    let old = notice::Entity::find().filter(C::Time.lt(before.micros()));
    old.filter(Expr::exists(of_it.into_query()).not()).order_by_asc(C::Time).limit(FORGOTTEN)
}

impl Store {
    /// Forgets deliveries from before `before`, but for those that are still to be sent, and
    /// the notices that nobody is told of any more.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<Forgotten, Error> {
        let state = codec::state;
        let held = self.forget_all(old(state(DeliveryState::Held), before)).await?;
        let delivered = self.forget_all(old(state(DeliveryState::Delivered), before)).await?;
        let failed = self.forget_all(old(state(DeliveryState::Failed), before.saturating_sub(SHOWN))).await?;
        let left = self.forget_what_is_left().await?;
        let notices = self.forget_all(told_and_old(before)).await?;
        Ok(Forgotten { rows: held + delivered + failed + left + notices, held })
    }

    /// Gives up what is still to be sent, and is from before `before`: to a receiver that takes
    /// less than there is to tell, or a mailbox that no mail server is there for any more. Counted as
    /// they go: what was given up before something failed stays so.
    pub async fn give_up_deliveries(&self, before: Timestamp, given_up: &mut GivenUp) -> Result<(), Error> {
        // What is behind others first: it would move up one by one, only to be given up then.
        for state in [codec::QUEUED, codec::state(DeliveryState::Pending)] {
            while let Some((channel, destination)) = self.oldest(state, before).await? {
                let rows = self.give_up_some(state, before, destination).await?;
                *if channel == Channel::Mail.word() { &mut given_up.mail } else { &mut given_up.webhooks } += rows;
                if rows == 0 {
                    // It is in another's hands, and looked at again in the next round.
                    break;
                }
            }
        }
        Ok(())
    }

    /// Where the oldest one goes.
    async fn oldest(&self, state: &'static str, before: Timestamp) -> Result<Option<(String, String)>, Error> {
        use delivery::Column as C;
        self.detached(async move |store| {
            let oldest = old(state, before).limit(1).select_only().columns([C::Channel, C::Destination]);
            Ok(oldest.into_tuple().all(&store.looks()).await?.pop())
        })
        .await
    }

    /// To one destination, so that who waits for what has at most that.
    async fn give_up_some(&self, state: &'static str, before: Timestamp, destination: String) -> Result<u64, Error> {
        use delivery::Column as C;
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_outbox().await?;
            webhooks::lock(&tx, &destination).await?;
            let some = old(state, before)
                .filter(C::Destination.eq(&destination))
                .select_only()
                .columns([C::DeliveryId, C::OrderKey]);
            // Of two that do this one has the first, and all that is behind it and in nobody's hands; the
            // other one has come too late.
            let first: Vec<(String, String)> = some.clone().limit(1).lock_exclusive().into_tuple().all(&tx).await?;
            if first.is_empty() {
                tx.rollback().await?;
                return Ok(0);
            }
            let some = some.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
            let some: Vec<(String, String)> = some.into_tuple().all(&tx).await?;
            let (ids, order_keys): (Vec<_>, BTreeSet<_>) = some.into_iter().unzip();
            let count = give_up(&tx, ids).await?;
            for order_key in order_keys {
                queue::move_up(&tx, &destination, &order_key).await?;
            }
            tx.commit().await?;
            Ok(count)
        })
        .await
    }

    /// A chunk at a time.
    async fn forget_all<E: EntityTrait>(&self, some: Select<E>) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let some = some.clone();
            let rows = self
                .detached(async move |store| {
                    let (_turn, tx) = store.begin_outbox().await?;
                    let rows = delete_unlocked(&tx, some).await?;
                    tx.commit().await?;
                    Ok::<_, Error>(rows)
                })
                .await?;
            forgotten += rows;
            if rows < FORGOTTEN {
                return Ok(forgotten);
            }
        }
    }

    /// Of webhooks that were deleted.
    async fn forget_what_is_left(&self) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let rows = self
                .detached(async move |store| {
                    let tx = store.look_at_outbox().await?;
                    let found =
                        tx.query_all_raw(Statement::from_string(tx.get_database_backend(), to_nobody())).await?;
                    tx.commit().await?;
                    let Some(found) = found.first() else { return Ok(0) };
                    let place: String = found.try_get_by_index(0)?;
                    let (_turn, tx) = store.begin_outbox().await?;
                    let rows = forget_some_of(&tx, &place).await?;
                    tx.commit().await?;
                    Ok::<_, Error>(rows)
                })
                .await?;
            forgotten += rows;
            if rows == 0 {
                return Ok(forgotten);
            }
        }
    }
}

async fn give_up(db: &impl ConnectionTrait, ids: Vec<String>) -> Result<u64, Error> {
    use delivery::Column as C;
    let given_up = delivery::Entity::update_many()
        .col_expr(C::State, Expr::value(codec::state(DeliveryState::Failed)))
        .col_expr(C::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
        .col_expr(C::ClaimedUntil, Expr::value(0_i64))
        .filter(C::DeliveryId.is_in(&ids))
        .exec(db)
        .await?;
    // Why the last attempt failed says more.
    delivery::Entity::update_many()
        .col_expr(C::LastError, Expr::value(TOO_OLD))
        .filter(C::DeliveryId.is_in(&ids))
        .filter(C::LastError.eq(""))
        .exec(db)
        .await?;
    Ok(given_up.rows_affected)
}
