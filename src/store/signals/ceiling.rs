use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
    sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict},
};

use super::Noted;
use crate::{
    domain::{signal::CEILING, time::Timestamp},
    store::{Error, codec, entity::alert_hour, notices::Written},
};

const HOUR: i64 = 3_600;

/// Tells it, unless its application was told enough of the kind in this hour. Then the last
/// of the hour is kept, and told when the hour is over, for all of them.
pub(super) async fn pass(
    db: &impl ConnectionTrait,
    notice: Written,
    now: Timestamp,
    told: &mut Vec<Written>,
) -> Result<Noted, Error> {
    use alert_hour::Column as C;
    let hour = hour(now);
    let ours = || C::ApplicationId.eq(notice.application_id.as_str()).and(C::Kind.eq(notice.kind.as_str()));
    if let Some(row) =
        alert_hour::Entity::find().filter(ours()).filter(C::Hour.lt(hour)).lock_exclusive().all(db).await?.pop()
    {
        settle(db, row, told).await?;
    }
    // One that another puts there at the same time is as good.
    let row = alert_hour::Model {
        application_id: notice.application_id.clone(),
        kind: notice.kind.clone(),
        hour,
        told: 0,
        held: 0,
        key_id: None,
        payload: None,
    };
    let there = OnConflict::columns([C::ApplicationId, C::Kind]).do_nothing().to_owned();
    alert_hour::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(there)
        .exec_without_returning(db)
        .await?;
    let add = |column: C| alert_hour::Entity::update_many().col_expr(column, Expr::col(column).add(1)).filter(ours());
    if add(C::Told).filter(C::Told.lt(CEILING - 1)).exec(db).await?.rows_affected == 1 {
        told.push(notice);
        return Ok(Noted::Told);
    }
    let hold = add(C::Held)
        .col_expr(C::KeyId, Expr::value(notice.key_id.clone()))
        .col_expr(C::Payload, Expr::value(notice.payload.clone()));
    hold.exec(db).await?;
    Ok(Noted::Held)
}

fn over(now: Timestamp) -> Select<alert_hour::Entity> {
    use alert_hour::Column as C;
    let over = alert_hour::Entity::find().filter(C::Hour.lt(hour(now)));
    over.order_by_asc(C::ApplicationId).order_by_asc(C::Kind)
}

/// Whether an hour is over, and not ended.
pub(super) async fn is_over(db: &impl ConnectionTrait, now: Timestamp) -> Result<bool, Error> {
    Ok(!over(now).limit(1).all(db).await?.is_empty())
}

/// Some of the hours that are over, but for those that another is about to end.
pub(super) async fn some_over(
    db: &impl ConnectionTrait,
    now: Timestamp,
    most: u64,
) -> Result<Vec<alert_hour::Model>, Error> {
    let some = over(now).limit(most).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    Ok(some.all(db).await?)
}

/// Ends an hour: the last that was held back is told, and for how many more it stands. Nobody else may
/// add to the row meanwhile.
pub(super) async fn settle(
    db: &impl ConnectionTrait,
    row: alert_hour::Model,
    told: &mut Vec<Written>,
) -> Result<(), Error> {
    use alert_hour::Column as C;
    let this = C::ApplicationId.eq(&row.application_id).and(C::Kind.eq(&row.kind)).and(C::Hour.eq(row.hour));
    let ended = alert_hour::Entity::delete_many().filter(this).exec(db).await?.rows_affected == 1;
    if let (true, Some(payload)) = (ended, row.payload) {
        let payload = codec::with_held_back(payload, row.held - 1);
        told.push(Written { kind: row.kind, application_id: row.application_id, key_id: row.key_id, payload });
    }
    Ok(())
}

fn hour(now: Timestamp) -> i64 {
    now.seconds().div_euclid(HOUR)
}
