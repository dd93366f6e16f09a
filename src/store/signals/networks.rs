use std::{collections::BTreeSet, time::Duration};

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _,
    sea_query::{Alias, Expr, ExprTrait as _, OnConflict, Query},
};

use crate::{
    domain::{id::KeyId, subnet::Subnet, time::Timestamp},
    store::{Error, entity::key_network},
};

/// How many of a chain are known. Beyond them those are forgotten that were not seen for the
/// longest time: whoever makes networks up fills no table.
const MOST: usize = 256;
const KEPT: Duration = Duration::from_hours(90 * 24);

/// Learns that a key of the chain was good for a call from there; `true` where that is new.
/// The first network of all is what the others are compared with.
pub(super) async fn meet(
    db: &impl ConnectionTrait,
    chain: KeyId,
    network: Subnet,
    now: Timestamp,
) -> Result<bool, Error> {
    use key_network::Column as C;
    let row = key_network::Model {
        chain: chain.to_string(),
        network: network.to_string(),
        first_time: now.micros(),
        last_time: now.micros(),
    };
    let seen = OnConflict::columns([C::Chain, C::Network]).update_column(C::LastTime).to_owned();
    let known = key_network::Entity::find().filter(C::Chain.eq(&row.chain)).order_by_desc(C::LastTime).all(db).await?;
    let is_known = known.iter().any(|known| known.network == row.network);
    let chain = row.chain.clone();
    let row = row.into_active_model().reset_all();
    key_network::Entity::insert(row).on_conflict(seen).exec_without_returning(db).await?;
    if is_known {
        return Ok(false);
    }
    let beyond: BTreeSet<_> = known.iter().skip(MOST - 1).map(|known| known.network.clone()).collect();
    if !beyond.is_empty() {
        let old = C::Chain.eq(chain).and(C::Network.is_in(beyond));
        key_network::Entity::delete_many().filter(old).exec(db).await?;
    }
    Ok(!known.is_empty())
}

/// All that were not seen for long; but a chain keeps its last one, or whoever finds an old
/// key would come from its first network again.
pub(super) async fn forget(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64, Error> {
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
    let forget = key_network::Entity::delete_many().filter(old).filter(Expr::exists(has_later));
    Ok(forget.exec(db).await?.rows_affected)
}
