use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use crate::{
    domain::{id::KeyId, time::Timestamp},
    guard::{self, Guard},
    store::{Error, entity::alert},
};

/// The right to tell something of a kind of a key, had by one of all who find it.
#[derive(Debug)]
pub(in crate::store) struct Claim<'a> {
    pub(in crate::store) subject: KeyId,
    pub(in crate::store) kind: &'static str,
    pub(in crate::store) detail: &'a str,
    /// Only where it was told last at this moment or before.
    pub(in crate::store) told_before: Timestamp,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Claimed {
    /// And how often it was not had since the last time.
    Yes {
        held: i64,
    },
    No {
        last_time: Timestamp,
    },
}

pub(in crate::store) async fn claim(
    db: &impl ConnectionTrait,
    claim: &Claim<'_>,
    now: Timestamp,
) -> Result<Claimed, Error> {
    use alert::Column as C;
    let subject = claim.subject.to_string();
    let known = || {
        let ours = C::KeyId.eq(subject.as_str()).and(C::Kind.eq(claim.kind)).and(C::Detail.eq(claim.detail));
        alert::Entity::find().filter(ours)
    };
    // Whoever counts what is held back waits, so that none of it is lost.
    let before = known().lock_exclusive().all(db).await?.pop();
    let row = alert::Model {
        key_id: subject.clone(),
        kind: claim.kind.to_owned(),
        detail: claim.detail.to_owned(),
        last_time: now.micros(),
        held: 0,
    };
    let mut take = OnConflict::columns([C::KeyId, C::Kind, C::Detail]);
    take.update_columns([C::LastTime, C::Held]);
    if guard::on(Guard::Storm) {
        let is_over = Expr::col((alert::Entity, C::LastTime)).lte(claim.told_before.micros());
        take.action_and_where(is_over);
    }
    let row = row.into_active_model().reset_all();
    // The one statement that decides, whoever else is about to.
    if alert::Entity::insert(row).on_conflict(take).exec_without_returning(db).await? == 1 {
        return Ok(Claimed::Yes { held: before.map_or(0, |row| row.held) });
    }
    alert::Entity::update_many()
        .col_expr(C::Held, Expr::col(C::Held).add(1))
        .filter(C::KeyId.eq(subject.as_str()).and(C::Kind.eq(claim.kind)).and(C::Detail.eq(claim.detail)))
        .exec(db)
        .await?;
    let last_time = known().all(db).await?.pop().map_or(now, |row| Timestamp::from_micros(row.last_time));
    Ok(Claimed::No { last_time })
}
