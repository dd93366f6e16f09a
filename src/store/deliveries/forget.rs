use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _, sea_query::Expr,
};

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

impl Store {
    /// Forgets deliveries from before `before`, but for those that are still to be sent, and
    /// the notices that nobody is told of any more.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<Forgotten, Error> {
        self.detached(async move |store| {
            use delivery::Column as C;
            let (_turn, tx) = store.begin_write().await?;
            let old = C::CreateTime.lt(before.micros());
            let held = delivery::Entity::delete_many().filter(old.clone());
            let held = held.filter(C::State.eq(codec::state(DeliveryState::Held))).exec(&tx).await?.rows_affected;
            let over = delivery::Entity::delete_many().filter(old);
            let over = over.filter(C::State.ne(codec::state(DeliveryState::Pending))).exec(&tx).await?.rows_affected;
            let of_it = delivery::Entity::find().select_only().column(C::DeliveryId);
            let of_it = of_it.filter(
                Expr::col((delivery::Entity, C::NoticeId)).eq(Expr::col((notice::Entity, notice::Column::NoticeId))),
            );
            let notices = notice::Entity::delete_many()
                .filter(notice::Column::Time.lt(before.micros()))
                .filter(Expr::exists(of_it.into_query()).not())
                .exec(&tx)
                .await?
                .rows_affected;
            tx.commit().await?;
            Ok(Forgotten { rows: held + over + notices, held })
        })
        .await
    }
}
