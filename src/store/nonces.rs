use std::time::Duration;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, OnConflict, Query},
};

use super::{Error, Store, entity::nonce};
use crate::{
    domain::{act::Nonce, time::Timestamp},
    guard::{self, Guard},
};

/// The row that says up to when nonces were forgotten. No text is known that has this hash.
const MARK: [u8; 32] = [0; 32];
/// How much longer than the clock says they are kept. One that was ahead by less, and is set right,
/// finds all of them, and whoever begins then takes what is dated now.
const KEPT: Duration = Duration::from_hours(1);

/// Spends a nonce; `false` when it was spent before, or is so old that it may have been
/// forgotten: a call that waited long enough for its turn is a replay like any other, and so is one
/// that is dated now by a clock that was set back by so much that its date comes again.
pub(super) async fn spend(db: &impl ConnectionTrait, nonce: &Nonce, now: Timestamp) -> Result<bool, Error> {
    if nonce.expire_time <= now {
        return Ok(false);
    }
    let mut row = Query::select();
    row.expr(Expr::value(nonce.hash.to_vec())).expr(Expr::value(nonce.expire_time.micros()));
    let forgotten = marks().filter(nonce::Column::ExpireTime.gt(nonce.expire_time.micros())).into_query();
    row.cond_where(if guard::on(Guard::Forgotten) { Expr::exists(forgotten).not() } else { Expr::value(true) });
    let mut insert = Query::insert();
    insert
        .into_table(nonce::Entity)
        .columns([nonce::Column::NonceSha256, nonce::Column::ExpireTime])
        .on_conflict(OnConflict::column(nonce::Column::NonceSha256).do_nothing().to_owned());
    insert.select_from(row).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(db.execute(&insert).await?.rows_affected() == 1)
}

fn marks() -> sea_orm::Select<nonce::Entity> {
    nonce::Entity::find().filter(nonce::Column::NonceSha256.eq(MARK.to_vec()))
}

impl Store {
    /// Spends the nonce of a call that writes nothing else; `false` when it was spent before.
    pub async fn spend_nonce(&self, nonce: Nonce) -> Result<bool, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            let now = store.time(&tx).await?;
            let fresh = spend(&tx, &nonce, now).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(fresh)
        })
        .await
    }

    /// Forgets what no replay could use any more. Answers how many there were. By the database's clock
    /// as it is, if that is behind: where it was ahead and was set back, a replica that did not see it
    /// ahead takes what is dated now. First of all it notes up to when: a clock may be set back
    /// afterwards, and those who saw it ahead may be gone.
    pub async fn forget_nonces(&self, before: Timestamp) -> Result<u64, Error> {
        let last = self
            .detached(async move |store| {
                let looks = store.looks();
                let before = before.min(store.present(&looks).await?).saturating_sub(KEPT);
                let last = nonce::Entity::find().filter(old(before)).order_by_desc(nonce::Column::ExpireTime).limit(1);
                Ok(last.all(&looks).await?.pop())
            })
            .await?;
        let Some(last) = last else { return Ok(0) };
        // No later than what is really forgotten, or a clock that was ahead for a moment would cost all
        // calls of the time that it jumped over.
        let before = Timestamp::from_micros(last.expire_time + 1);
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            let mark = nonce::ActiveModel { nonce_sha256: Set(MARK.to_vec()), expire_time: Set(before.micros()) };
            let later = OnConflict::column(nonce::Column::NonceSha256)
                .update_column(nonce::Column::ExpireTime)
                .action_and_where(Expr::col((nonce::Entity, nonce::Column::ExpireTime)).lt(before.micros()))
                .to_owned();
            nonce::Entity::insert(mark).on_conflict(later).exec_without_returning(&tx).await?;
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await?;
        self.forget::<nonce::Entity>(nonce::Column::ExpireTime, old(before)).await
    }
}

/// Those that may be forgotten, but for the row that says so.
fn old(before: Timestamp) -> Condition {
    let is_old = nonce::Column::ExpireTime.lt(before.micros());
    Condition::all().add(is_old).add(nonce::Column::NonceSha256.ne(MARK.to_vec()))
}
