use std::{collections::BTreeSet, time::Duration};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Select, Statement,
    sea_query::{Expr, ExprTrait as _, SelectStatement},
};

use super::{Channel, places, queue};
use crate::{
    domain::{delivery::DeliveryState, time::Timestamp},
    store::{
        Error, Store, codec,
        entity::{delivery, notice},
    },
};

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    pub rows: u64,
    /// What was never sent, since its webhook stayed disabled.
    pub held: u64,
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
        .select_only()
        .column(C::DeliveryId)
        .filter(C::Channel.eq(Channel::Webhook.word()))
        .filter(C::Destination.eq(webhook))
        .order_by_asc(C::Seq)
        .limit(FORGOTTEN)
        .into_query();
    let some = delivery::Entity::delete_many().filter(C::DeliveryId.in_subquery(some));
    Ok(some.exec(db).await?.rows_affected)
}

fn told_and_old(before: Timestamp) -> SelectStatement {
    use notice::Column as C;
    let of_it = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::DeliveryId)
        .filter(Expr::col((delivery::Entity, delivery::Column::NoticeId)).eq(Expr::col((notice::Entity, C::NoticeId))));
    let old = notice::Entity::find().select_only().column(C::NoticeId).filter(C::Time.lt(before.micros()));
    old.filter(Expr::exists(of_it.into_query()).not()).order_by_asc(C::Time).limit(FORGOTTEN).into_query()
}

impl Store {
    /// Forgets deliveries from before `before`, but for those that are still to be sent, and
    /// the notices that nobody is told of any more.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<Forgotten, Error> {
        let state = codec::state;
        let held = self.forget_state(state(DeliveryState::Held), before).await?;
        let delivered = self.forget_state(state(DeliveryState::Delivered), before).await?;
        let failed = self.forget_state(state(DeliveryState::Failed), before.saturating_sub(SHOWN)).await?;
        let left = self.forget_what_is_left().await?;
        let notices = self.forget_notices(before).await?;
        Ok(Forgotten { rows: held + delivered + failed + left + notices, held })
    }

    /// Gives up what is still to be sent, and is from before `before`: to a receiver that takes
    /// less than there is to tell, or a mailbox that no mail server is there for any more.
    /// Answers how many there were.
    pub async fn give_up_deliveries(&self, before: Timestamp) -> Result<u64, Error> {
        let mut given_up = 0;
        for state in codec::OPEN {
            loop {
                let rows = self.give_up_some(state, before).await?;
                given_up += rows;
                if rows < FORGOTTEN {
                    break;
                }
            }
        }
        Ok(given_up)
    }

    async fn give_up_some(&self, state: &'static str, before: Timestamp) -> Result<u64, Error> {
        use delivery::Column as C;
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_outbox().await?;
            let columns = [C::DeliveryId, C::Destination, C::OrderKey];
            let rows: Vec<(String, String, String)> =
                old(state, before).select_only().columns(columns).into_tuple().all(&tx).await?;
            let (mut places, mut count) = (BTreeSet::new(), 0);
            for (id, destination, order_key) in rows {
                give_up(&tx, id).await?;
                places.insert((destination, order_key));
                count += 1;
            }
            for (destination, order_key) in places {
                queue::move_up(&tx, &destination, &order_key).await?;
            }
            tx.commit().await?;
            Ok(count)
        })
        .await
    }

    async fn forget_state(&self, state: &'static str, before: Timestamp) -> Result<u64, Error> {
        use delivery::Column as C;
        let mut forgotten = 0;
        loop {
            let rows = self
                .detached(async move |store| {
                    let (_turn, tx) = store.begin_outbox().await?;
                    let old = old(state, before).select_only().column(C::DeliveryId).into_query();
                    let old = delivery::Entity::delete_many().filter(C::DeliveryId.in_subquery(old));
                    let rows = old.exec(&tx).await?.rows_affected;
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

    async fn forget_notices(&self, before: Timestamp) -> Result<u64, Error> {
        use notice::Column as C;
        let mut forgotten = 0;
        loop {
            let rows = self
                .detached(async move |store| {
                    let (_turn, tx) = store.begin_outbox().await?;
                    let old = notice::Entity::delete_many().filter(C::NoticeId.in_subquery(told_and_old(before)));
                    let rows = old.exec(&tx).await?.rows_affected;
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
}

async fn give_up(db: &impl ConnectionTrait, id: String) -> Result<(), Error> {
    use delivery::Column as C;
    delivery::Entity::update_many()
        .col_expr(C::State, Expr::value(codec::state(DeliveryState::Failed)))
        .col_expr(C::ClaimedBy, Expr::value(Option::<uuid::Uuid>::None))
        .col_expr(C::ClaimedUntil, Expr::value(0_i64))
        .filter(C::DeliveryId.eq(id.as_str()))
        .exec(db)
        .await?;
    // Why the last attempt failed says more.
    delivery::Entity::update_many()
        .col_expr(C::LastError, Expr::value(TOO_OLD))
        .filter(C::DeliveryId.eq(id))
        .filter(C::LastError.eq(""))
        .exec(db)
        .await?;
    Ok(())
}
