use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    Error, Store,
    entity::{api_key, last_use, sealed_secret},
};
use crate::domain::{id::KeyId, seal::SealedSecret, time::Timestamp};

/// For so long it is known that a secret is gone, and not that there never was one.
const KEPT: Duration = Duration::from_hours(30 * 24);

impl Store {
    /// Whether something is due for a sealed secret.
    pub async fn seals_are_due(&self) -> Result<bool, Error> {
        self.detached(async move |store| {
            let looks = store.looks();
            let now = store.time(&looks).await?;
            Ok(!due(&looks, now, 1).await?.is_empty())
        })
        .await
    }

    /// Forgets those that are gone for a month.
    pub async fn forget_seals(&self, now: Timestamp) -> Result<u64, Error> {
        let gone = sealed_secret::Column::GoneTime.lt(now.saturating_sub(KEPT).micros());
        self.forget::<sealed_secret::Entity>(sealed_secret::Column::GoneTime, Condition::all().add(gone)).await
    }
}

/// Those that nobody needs any more, since their key was used or revoked, and those that were
/// not fetched for long. They are few: each ends with the first use of its key.
pub(super) async fn due(db: &impl ConnectionTrait, now: Timestamp, most: u64) -> Result<Vec<SealedSecret>, Error> {
    use sealed_secret::Column as C;
    let of_it = |column: Expr| column.eq(Expr::col((sealed_secret::Entity, C::KeyId)));
    let used = last_use::Entity::find().filter(of_it(Expr::col((last_use::Entity, last_use::Column::Id))));
    let revoked = api_key::Entity::find()
        .filter(of_it(Expr::col((api_key::Entity, api_key::Column::KeyId))))
        .filter(api_key::Column::RevokeTime.is_not_null());
    let late = Condition::all().add(C::FetchTime.is_null()).add(C::RemindTime.lte(now.micros()));
    let any = Condition::any().add(late).add(Expr::exists(used.into_query())).add(Expr::exists(revoked.into_query()));
    let query = sealed_secret::Entity::find().filter(C::GoneTime.is_null()).filter(any);
    let rows = query.order_by_asc(C::KeyId).limit(most).all(db).await?;
    rows.into_iter().map(seal).collect()
}

pub(super) async fn find(db: &impl ConnectionTrait, key: KeyId) -> Result<Option<SealedSecret>, Error> {
    sealed_secret::Entity::find_by_id(key.to_string()).all(db).await?.pop().map(seal).transpose()
}

pub(super) async fn put(db: &impl ConnectionTrait, seal: &SealedSecret) -> Result<(), Error> {
    use sealed_secret::Column as C;
    let row = sealed_secret::Model {
        key_id: seal.key_id.to_string(),
        recipient_kid: seal.recipient.to_string(),
        ciphertext: seal.ciphertext.clone(),
        create_time: seal.create_time.micros(),
        fetch_time: seal.fetch_time.map(Timestamp::micros),
        remind_time: seal.remind_time.micros(),
        gone_time: seal.gone_time.map(Timestamp::micros),
    };
    let update = OnConflict::column(C::KeyId)
        .update_columns([C::Ciphertext, C::FetchTime, C::RemindTime, C::GoneTime])
        .to_owned();
    let row = row.into_active_model().reset_all();
    sealed_secret::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn seal(row: sealed_secret::Model) -> Result<SealedSecret, Error> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of a sealed secret"));
    Ok(SealedSecret {
        key_id: row.key_id.parse().map_err(|_| corrupt("the key id"))?,
        recipient: row.recipient_kid.parse().map_err(|_| corrupt("the kid"))?,
        ciphertext: row.ciphertext,
        create_time: Timestamp::from_micros(row.create_time),
        fetch_time: row.fetch_time.map(Timestamp::from_micros),
        remind_time: Timestamp::from_micros(row.remind_time),
        gone_time: row.gone_time.map(Timestamp::from_micros),
    })
}
