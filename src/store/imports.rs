//! Many keys at once, from another system: a few statements, however many there are.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};
use serde_json::json;

use super::{
    Error, Tx, codec,
    entity::{api_key, key_timer},
    timers,
    tx::{Save, Written},
};
use crate::domain::{
    id::{ApplicationId, Revision},
    key::Key,
    refusal::Refusal,
    secret::SecretHash,
    time::Timestamp,
};

/// Rows of one statement. SQLite takes 32,766 values in one, PostgreSQL 65,535, and a key has 36.
const ROWS: usize = 500;

impl Tx {
    /// The keys with one of these hashes, of whichever application.
    pub async fn keys_by_hash(&self, hashes: &[SecretHash]) -> Result<Vec<Key>, Refusal> {
        let mut keys = Vec::new();
        for some in hashes.chunks(ROWS) {
            let is_one = api_key::Column::SecretSha256.is_in(some.iter().map(|hash| hash.as_bytes().to_vec()));
            let rows = api_key::Entity::find().filter(is_one).all(&self.inner.db).await.map_err(Error::from)?;
            for row in rows {
                keys.push(codec::key(row)?);
            }
        }
        Ok(keys)
    }

    /// New ones, all of one application.
    pub fn save_import(&self, application: ApplicationId, keys: Vec<Key>) {
        if !keys.is_empty() {
            self.notes().saves.push(Save::Import { application, keys });
        }
    }

    /// Notes for the audit what was asked for and what became of it.
    pub fn report_import(&self, imported: usize, existing: usize, dry_run: bool) {
        let report = json!({"import": {"imported": imported, "existing": existing, "dry_run": dry_run}});
        self.notes().remarks.push(report);
    }
}

/// Writes when something is due for each.
pub(super) async fn time(db: &DatabaseTransaction, keys: &[Key], now: Timestamp) -> Result<(), Error> {
    for some in keys.chunks(ROWS) {
        let rows = some.iter().map(|key| timers::first_row(key, now).into_active_model().reset_all());
        key_timer::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Writes the rows as of `revision`. Of each key the audit has the id: what it was when it was imported is
/// what it still is, or what its first change has as its state before.
pub(super) async fn write(db: &DatabaseTransaction, keys: Vec<Key>, revision: Revision) -> Result<Written, Error> {
    let rows = keys.into_iter().map(|key| codec::key_row(&Key { revision, ..key }));
    let rows: Vec<_> = rows.collect();
    for some in rows.chunks(ROWS) {
        let rows = some.iter().map(|row| row.clone().into_active_model().reset_all());
        api_key::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    let ids: Vec<_> = rows.iter().map(|row| &row.key_id).collect();
    let after = Some(json!({"key_ids": ids}));
    Ok(Written { change: Some(codec::ChangeRow::imported(&rows)?), before: None, after })
}
