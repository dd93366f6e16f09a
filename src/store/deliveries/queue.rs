//! Whose turn it is. Of what goes to a destination for a key only the first is pending; what is
//! behind it is queued, and moves up when that has arrived or was given up. So a look at what is
//! due reads nothing of a backlog, however long that is.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, LockType},
};

use crate::{
    domain::delivery::DeliveryState,
    guard::{self, Guard},
    store::{Error, codec, entity::delivery},
};

fn of(destination: &str, order_key: &str, state: &str) -> Condition {
    use delivery::Column as C;
    Condition::all().add(C::Destination.eq(destination)).add(C::State.eq(state)).add(C::OrderKey.eq(order_key))
}

/// The first one in a state, by its id.
async fn first(
    db: &impl ConnectionTrait,
    destination: &str,
    order_key: &str,
    state: &str,
) -> Result<Option<String>, Error> {
    use delivery::Column as C;
    let query = delivery::Entity::find().select_only().column(C::DeliveryId).filter(of(destination, order_key, state));
    Ok(query.order_by_asc(C::Seq).limit(1).into_tuple().all(db).await?.pop())
}

/// The state of one that comes now, by whoever has the head of the notices: nobody else adds one.
pub(super) async fn place(
    db: &impl ConnectionTrait,
    destination: &str,
    order_key: &str,
) -> Result<&'static str, Error> {
    let pending = codec::state(DeliveryState::Pending);
    'look: loop {
        for state in [pending, codec::QUEUED] {
            if let Some(before) = first(db, destination, order_key, state).await?.filter(|_| guard::on(Guard::Order)) {
                if stays(db, &before, state).await? {
                    return Ok(codec::QUEUED);
                }
                continue 'look;
            }
        }
        return Ok(pending);
    }
}

/// Whether it is in this state still. Then nobody says that it has arrived before the transaction
/// ends, and who does so afterwards sees what is behind it.
async fn stays(db: &impl ConnectionTrait, id: &str, state: &str) -> Result<bool, Error> {
    let query = delivery::Entity::find_by_id(id).filter(delivery::Column::State.eq(state));
    let query = query.select_only().column(delivery::Column::DeliveryId).lock(LockType::KeyShare);
    Ok(!query.into_tuple::<String>().all(db).await?.is_empty())
}

/// One has arrived or was given up: the next one is first.
pub(super) async fn move_up(db: &impl ConnectionTrait, destination: &str, order_key: &str) -> Result<(), Error> {
    let pending = codec::state(DeliveryState::Pending);
    if first(db, destination, order_key, pending).await?.is_some() {
        return Ok(());
    }
    while let Some(next) = first(db, destination, order_key, codec::QUEUED).await? {
        let moved = delivery::Entity::update_many()
            .col_expr(delivery::Column::State, Expr::value(pending))
            .filter(delivery::Column::DeliveryId.eq(next))
            .filter(delivery::Column::State.eq(codec::QUEUED))
            .exec(db)
            .await?;
        // None: it was given up meanwhile, and the next one is behind it.
        if moved.rows_affected == 1 {
            break;
        }
    }
    Ok(())
}

/// All that is queued for a destination, and nothing is pending: the first of each key is.
pub(in crate::store) async fn line_up(db: &impl ConnectionTrait, destination: &str) -> Result<(), Error> {
    use delivery::Column as C;
    let queued = Condition::all().add(C::Destination.eq(destination)).add(C::State.eq(codec::QUEUED));
    let first = delivery::Entity::find().select_only().column_as(C::Seq.min(), "first").filter(queued.clone());
    let first = first.group_by(C::OrderKey).into_query();
    delivery::Entity::update_many()
        .col_expr(C::State, Expr::value(codec::state(DeliveryState::Pending)))
        .filter(queued)
        .filter(C::Seq.in_subquery(first))
        .exec(db)
        .await?;
    Ok(())
}
