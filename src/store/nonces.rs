use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, sea_query::OnConflict,
};

use super::{Error, Store, entity::nonce};
use crate::domain::{act::Nonce, time::Timestamp};

/// Spends a nonce; `false` when it was spent before, or is so old that it may have been
/// forgotten: a call that waited long enough for its turn is a replay like any other.
pub(super) async fn spend(db: &impl ConnectionTrait, nonce: &Nonce, now: Timestamp) -> Result<bool, Error> {
    if nonce.expire_time <= now {
        return Ok(false);
    }
    let row =
        nonce::ActiveModel { nonce_sha256: Set(nonce.hash.to_vec()), expire_time: Set(nonce.expire_time.micros()) };
    let keep = OnConflict::column(nonce::Column::NonceSha256).do_nothing().to_owned();
    let rows = nonce::Entity::insert(row).on_conflict(keep).exec_without_returning(db).await?;
    Ok(rows == 1)
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
    /// ahead takes what is dated now.
    pub async fn forget_nonces(&self, before: Timestamp) -> Result<u64, Error> {
        let present = self.detached(async move |store| store.present(&store.looks()).await).await?;
        let before = before.min(present);
        self.forget::<nonce::Entity>(
            nonce::Column::ExpireTime,
            Condition::all().add(nonce::Column::ExpireTime.lt(before.micros())),
        )
        .await
    }
}
