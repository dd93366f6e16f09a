//! Usage in its own tables: to verify never writes a key, and never waits for this.

mod read;

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
    sea_query::{Alias, Expr, ExprTrait as _, OnConflict},
};
use uuid::Uuid;

use super::{
    Error, Store, codec,
    entity::{last_use, usage_count, usage_source},
};
use crate::{
    domain::{
        time::Timestamp,
        usage::{self, Tallied, UsageRow, UsageUnit, Whose},
    },
    guard::{self, Guard},
};
pub(super) use read::{chain, last_use, series, used, used_after};

/// Rows a statement: six values each, far from the most that any engine takes.
const ROWS: usize = 1000;
const HOURS_KEPT: Duration = Duration::from_hours(35 * 24);
const DAYS_KEPT: Duration = Duration::from_hours(400 * 24);
/// Longer than anybody goes on trying to send a batch.
const SOURCES_KEPT: Duration = Duration::from_hours(24);

impl Store {
    /// Makes a name under which batches are numbered from 1 on.
    pub async fn begin_usage_source(&self) -> Result<Uuid, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_ledger().await?;
            let now = store.time(&tx).await?;
            let id = store.inner.entropy.uuid(now)?;
            let row = usage_source::Model { id, batch: 0, time: now.micros() };
            usage_source::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(&tx).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(id)
        })
        .await
    }

    /// Adds a batch, in one durable transaction; a batch that was added before is not added
    /// again. It must be the next one of its source, or the last one once more.
    pub async fn add_usage(&self, source: Uuid, batch: i64, tallied: Arc<[Tallied]>) -> Result<(), Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_ledger().await?;
            let now = store.time(&tx).await?;
            if !is_next(&tx, source, batch, now).await? {
                let row = usage_source::Entity::find_by_id(source).all(&tx).await?.pop();
                tx.rollback().await?;
                return row.filter(|row| row.batch >= batch).map(drop).ok_or(Error::SourceForgotten);
            }
            add_counts(&tx, &tallied).await?;
            add_last_uses(&tx, &tallied).await?;
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }

    /// Forgets what is older than it is kept: hours after 35 days, days and months after
    /// 400, sources a day after their last batch. Answers how many counts there were.
    pub async fn forget_usage(&self, now: Timestamp) -> Result<u64, Error> {
        use usage_count::Column as C;
        let kept = [(UsageUnit::Hour, HOURS_KEPT), (UsageUnit::Day, DAYS_KEPT), (UsageUnit::Month, DAYS_KEPT)];
        let mut forgotten = 0;
        for (unit, kept) in kept {
            let of_unit = Condition::all().add(C::Unit.eq(codec::unit(unit)));
            let old = of_unit.add(C::Start.lt(now.saturating_sub(kept).micros()));
            forgotten += self.forget::<usage_count::Entity>(C::Start, old).await?;
        }
        let sources = usage_source::Column::Time.lt(now.saturating_sub(SOURCES_KEPT).micros());
        self.forget::<usage_source::Entity>(usage_source::Column::Time, Condition::all().add(sources)).await?;
        Ok(forgotten)
    }
}

const KEY: [usage_count::Column; 5] = [
    usage_count::Column::ApplicationId,
    usage_count::Column::KeyId,
    usage_count::Column::Unit,
    usage_count::Column::Start,
    usage_count::Column::Verdict,
];

/// Takes the batch's number, if it is the next one.
async fn is_next(db: &impl ConnectionTrait, source: Uuid, batch: i64, now: Timestamp) -> Result<bool, Error> {
    let mut take = usage_source::Entity::update_many()
        .col_expr(usage_source::Column::Batch, Expr::value(batch))
        .col_expr(usage_source::Column::Time, Expr::value(now.micros()))
        .filter(usage_source::Column::Id.eq(source));
    if guard::on(Guard::Usage) {
        take = take.filter(usage_source::Column::Batch.eq(batch - 1));
    }
    Ok(take.exec(db).await?.rows_affected == 1)
}

/// In the order of the rows, so that two that add never wait for each other.
async fn add_counts(db: &impl ConnectionTrait, tallied: &[Tallied]) -> Result<(), Error> {
    let rows: Vec<_> = usage::rows(tallied).into_iter().map(|(row, count)| count_row(&row, count)).collect();
    for rows in rows.chunks(ROWS) {
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        usage_count::Entity::insert_many(rows).on_conflict(sum()).exec_without_returning(db).await?;
    }
    Ok(())
}

/// What is there and what comes. At the end of the type it stays there: an overflow is an
/// error on one engine and a float on the other.
fn sum() -> OnConflict {
    use usage_count::Column as C;
    let known = || Expr::col((usage_count::Entity, C::Requests));
    let more = || Expr::col((Alias::new("excluded"), C::Requests));
    let full = known().gt(Expr::value(i64::MAX).sub(more()));
    let sum = Expr::case(full, Expr::value(i64::MAX)).finally(known().add(more()));
    OnConflict::columns(KEY).value(C::Requests, sum).to_owned()
}

async fn add_last_uses(db: &impl ConnectionTrait, tallied: &[Tallied]) -> Result<(), Error> {
    use last_use::Column as C;
    let known = || Expr::col((last_use::Entity, C::LastUsedTime));
    let ours = || Expr::col((Alias::new("excluded"), C::LastUsedTime));
    let later = Expr::case(known().gt(ours()), known()).finally(ours());
    let add = OnConflict::column(C::Id).value(C::LastUsedTime, later).to_owned();
    let rows = usage::last_uses(tallied).into_iter();
    let rows: Vec<_> =
        rows.map(|(whose, time)| last_use::Model { id: id(whose), last_used_time: time.micros() }).collect();
    for rows in rows.chunks(ROWS) {
        let rows = rows.iter().cloned().map(|row| row.into_active_model().reset_all());
        last_use::Entity::insert_many(rows).on_conflict(add.clone()).exec_without_returning(db).await?;
    }
    Ok(())
}

fn count_row(row: &UsageRow, count: u64) -> usage_count::Model {
    usage_count::Model {
        application_id: row.whose.application_id.to_string(),
        key_id: key_id(row.whose),
        unit: codec::unit(row.unit).to_owned(),
        start: row.start.micros(),
        verdict: codec::verdict(row.verdict).to_owned(),
        requests: i64::try_from(count).unwrap_or(i64::MAX),
    }
}

/// Empty: all of the application.
fn key_id(whose: Whose) -> String {
    whose.key_id.map_or_else(String::new, |key| key.to_string())
}

/// No key and no application have the same.
fn id(whose: Whose) -> String {
    whose.key_id.map_or_else(|| whose.application_id.to_string(), |key| key.to_string())
}

#[cfg(test)]
mod tests;
