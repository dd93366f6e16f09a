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
pub(in crate::store) async fn chain_backlog(database: &DatabaseConnection) -> Result<u64, Error> {
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
        for row in rows {
            let (seq, previous) = head::advance(&tx).await?;
            let row = audit_event::Model { seq: Some(seq), ..row };
            let record = record(row)?;
            let hash = record.hash(&previous);
            let row = super::row(record, previous, hash.to_vec());
            audit_event::Entity::update(row.into_active_model().reset_all()).exec(&tx).await?;
            head::seal(&tx, &hash).await?;
            chained += 1;
        }
        tx.commit().await?;
    }
}
