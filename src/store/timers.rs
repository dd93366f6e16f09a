use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict},
};

use super::{Error, Store, entity::key_timer, keys};
use crate::domain::{key::Key, time::Timestamp, timer::Timer};

impl Store {
    /// Whether something is due for a key. On a connection of the looks: an idle service
    /// sends nothing that calls would be held to have sent, and waits for none of them.
    pub async fn timers_are_due(&self) -> Result<bool, Error> {
        self.detached(async move |store| {
            let looks = store.looks();
            let now = store.time(&looks).await?;
            let first = key_timer::Entity::find()
                .select_only()
                .column_as(key_timer::Column::DueTime.min(), "due_time")
                .into_tuple::<Option<i64>>()
                .all(&looks)
                .await?
                .pop()
                .flatten();
            Ok(first.is_some_and(|due| due <= now.micros()))
        })
        .await
    }
}

/// A key for which something is due, and what is remembered of it.
#[derive(Debug)]
pub struct DueKey {
    pub key_id: String,
    pub timer: Timer,
    /// None: there is no such key. An error: it does not read, which the others do not suffer for.
    pub key: Result<Option<Key>, Error>,
}

/// Those that are due, the longest waiting first.
pub(super) async fn due(db: &impl ConnectionTrait, now: Timestamp, most: u64) -> Result<Vec<DueKey>, Error> {
    let rows = key_timer::Entity::find()
        .filter(key_timer::Column::DueTime.lte(now.micros()))
        .order_by_asc(key_timer::Column::DueTime)
        .limit(most)
        .all(db)
        .await?;
    let mut keys = keys::read_all(db, rows.iter().map(|row| row.key_id.clone()).collect()).await?;
    let due = |row: key_timer::Model| {
        let key = keys.remove(&row.key_id).transpose();
        DueKey { timer: timer(&row), key_id: row.key_id, key }
    };
    Ok(rows.into_iter().map(due).collect())
}

/// What a change of a key means for its timer, in the same transaction.
pub(super) async fn follow(
    db: &impl ConnectionTrait,
    before: Option<&Key>,
    key: &Key,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(before) = before else { return put(db, key, &Timer::begin(now), now).await };
    if key.revoked.is_some() {
        return forget(db, &key.id.to_string()).await;
    }
    let row = key_timer::Entity::find_by_id(key.id.to_string()).all(db).await?.pop();
    let mut timer = row.as_ref().map_or_else(|| Timer::begin(now), timer);
    timer.follow(before, key, now);
    put(db, key, &timer, now).await
}

/// Of a new key.
pub(super) fn first_row(key: &Key, now: Timestamp) -> key_timer::Model {
    row(key, &Timer::begin(now), now)
}

fn row(key: &Key, timer: &Timer, now: Timestamp) -> key_timer::Model {
    key_timer::Model {
        key_id: key.id.to_string(),
        due_time: timer.due(key, now).map(Timestamp::micros),
        expiry_told_time: timer.expiry_told.micros(),
        rotation_told_time: timer.rotation_told.micros(),
        held_until_time: timer.held_until.map(Timestamp::micros),
        unused_check_time: timer.unused_check.micros(),
        unused_told_time: timer.unused_told.map(Timestamp::micros),
    }
}

pub(super) async fn put(db: &impl ConnectionTrait, key: &Key, timer: &Timer, now: Timestamp) -> Result<(), Error> {
    use key_timer::Column as C;
    if key.revoked.is_some() {
        return forget(db, &key.id.to_string()).await;
    }
    let update = OnConflict::column(C::KeyId)
        .update_columns([
            C::DueTime,
            C::ExpiryToldTime,
            C::RotationToldTime,
            C::HeldUntilTime,
            C::UnusedCheckTime,
            C::UnusedToldTime,
        ])
        .to_owned();
    let row = row(key, timer, now).into_active_model().reset_all();
    key_timer::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

/// What cannot be handled now is looked at again then.
pub(super) async fn put_off(db: &impl ConnectionTrait, key: &str, until: Timestamp) -> Result<(), Error> {
    let put_off = key_timer::Entity::update_many().col_expr(key_timer::Column::DueTime, Expr::value(until.micros()));
    put_off.filter(key_timer::Column::KeyId.eq(key)).exec(db).await?;
    Ok(())
}

pub(super) async fn forget(db: &impl ConnectionTrait, key: &str) -> Result<(), Error> {
    key_timer::Entity::delete_by_id(key).exec(db).await?;
    Ok(())
}

fn timer(row: &key_timer::Model) -> Timer {
    Timer {
        expiry_told: Timestamp::from_micros(row.expiry_told_time),
        rotation_told: Timestamp::from_micros(row.rotation_told_time),
        held_until: row.held_until_time.map(Timestamp::from_micros),
        unused_check: Timestamp::from_micros(row.unused_check_time),
        unused_told: row.unused_told_time.map(Timestamp::from_micros),
    }
}
