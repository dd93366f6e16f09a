use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DatabaseConnection, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, TransactionTrait as _,
};

use super::{head, read::record};
use crate::store::{Error, connect::immediate, entity::audit_event};

/// How many events are chained in one transaction.
const BATCH: u64 = 500;

/// Gives a place to every event that has none: those of before there was a chain, oldest first,
/// and those that an older version writes beside a newer one. A batch at a time, so whoever is
/// interrupted goes on where it was. Answers how many there were.
pub(in crate::store) async fn chain_backlog(database: &DatabaseConnection) -> Result<i64, Error> {
    let mut chained = 0;
    loop {
        let tx = database.begin_with_options(immediate()).await?;
        let rows = audit_event::Entity::find()
            .filter(audit_event::Column::Seq.is_null())
            .order_by_asc(audit_event::Column::Time)
            .order_by_asc(audit_event::Column::AuditId)
            .limit(BATCH)
            .all(&tx)
            .await?;
        if rows.is_empty() {
            tx.rollback().await?;
            return Ok(chained);
        }
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let (last, mut previous) = head::advance(&tx, count).await?;
        for (seq, row) in (last - count + 1..).zip(rows) {
            let record = record(audit_event::Model { seq: Some(seq), ..row })?;
            let hash = record.hash(&previous).to_vec();
            let row = super::row(record, std::mem::replace(&mut previous, hash.clone()), hash);
            audit_event::Entity::update(row.into_active_model().reset_all()).exec_without_returning(&tx).await?;
        }
        chained += count;
        head::seal(&tx, &previous).await?;
        tx.commit().await?;
    }
}
