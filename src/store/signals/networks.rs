use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Alias, Expr, ExprTrait as _, OnConflict, Query},
};

use crate::{
    domain::{id::KeyId, subnet::Subnet, time::Timestamp},
    store::{Error, entity::key_network, forget::delete_unlocked},
};

/// How many of a chain are known. Beyond them those are forgotten that were not seen for the
/// longest time: whoever makes networks up fills no table.
const MOST: u64 = 256;
const KEPT: Duration = Duration::from_hours(90 * 24);

/// What a network is to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Known,
    New,
    /// The first of all, which the others are compared with.
    First,
}

/// Learns that a key of the chain was good for a call from there.
pub(super) async fn meet(
    db: &impl ConnectionTrait,
    chain: KeyId,
    network: Subnet,
    now: Timestamp,
) -> Result<Met, Error> {
    use key_network::Column as C;
    let (chain, network, time) = (chain.to_string(), network.to_string(), now.micros());
    let of_chain = || key_network::Entity::find().filter(C::Chain.eq(&chain));
    let seen = key_network::Entity::update_many()
        .col_expr(C::LastTime, Expr::value(time))
        .filter(C::Chain.eq(&chain).and(C::Network.eq(&network)));
    if seen.exec(db).await?.rows_affected == 1 {
        return Ok(Met::Known);
    }
    let known = of_chain().count(db).await?;
    if known >= MOST {
        // One that another is about is not among the oldest any more.
        delete_unlocked(db, of_chain().order_by_asc(C::LastTime).limit(known - MOST + 1)).await?;
    }
    // Where another replica meets it at the same time, one of the two is told that it is new.
    let row = key_network::Model { chain, network, first_time: time, last_time: time };
    let known_now = OnConflict::columns([C::Chain, C::Network]).do_nothing().to_owned();
    let insert = key_network::Entity::insert(row.into_active_model().reset_all()).on_conflict(known_now);
    let rows = insert.exec_without_returning(db).await?;
    Ok(match (rows, known) {
        (0, _) => Met::Known,
        (_, 0) => Met::First,
        _ => Met::New,
    })
}

/// All that were not seen for long; but a chain keeps its last one, or whoever finds an old
/// key would come from its first network again.
pub(super) fn old(now: Timestamp) -> Condition {
    use key_network::Column as C;
    let later = Alias::new("later");
    let of_later = |column: C| Expr::col((later.clone(), column));
    let of_row = |column: C| Expr::col((key_network::Entity, column));
    let has_later = Query::select()
        .expr(Expr::val(1))
        .from_as(key_network::Entity, later.clone())
        .and_where(of_later(C::Chain).equals((key_network::Entity, C::Chain)))
        .and_where(
            of_later(C::LastTime)
                .gt(of_row(C::LastTime))
                .or(of_later(C::LastTime).eq(of_row(C::LastTime)).and(of_later(C::Network).gt(of_row(C::Network)))),
        )
        .to_owned();
    let old = C::LastTime.lt(now.saturating_sub(KEPT).micros());
    Condition::all().add(old).add(Expr::exists(has_later))
}
