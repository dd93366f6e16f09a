use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    Error, Store, deliveries,
    entity::{event_log, job_claim, replica},
    log,
};
use crate::domain::{
    event::{Event, Position},
    id::Revision,
    time::Timestamp,
};

/// What a replica says of itself in a sync.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Its row.
    pub replica: Uuid,
    /// The last event that it has applied.
    pub applied: Position,
    /// The last revision that is at its edge: no verifier answers by what was before.
    pub edge: Revision,
}

/// What it learns.
#[derive(Debug)]
pub struct Synced {
    /// What comes next. To be applied only now, after the COMMIT.
    pub events: Vec<Event>,
    /// Whether there may be more behind them.
    pub more: bool,
    /// The database's time within the sync.
    pub time: Timestamp,
    /// The clock since boot when it was read, or earlier.
    pub time_at: Duration,
    /// What every replica has applied at least.
    pub acked_by_all: Revision,
    /// What is at the edge of every replica at least.
    pub edge_by_all: Revision,
}

impl Store {
    /// Registers a replica that has loaded. Grants nothing: only a sync does. On SQLite
    /// the file lock says that every other row, and every claim of a job or a delivery, is of a dead process,
    /// so they go.
    pub async fn join(&self, loaded: Position, edge: Revision) -> Result<Uuid, Error> {
        let id = self.inner.entropy.uuid(self.database_time())?;
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            replica::Entity::delete_many().exec(&tx).await?;
            job_claim::Entity::delete_many().exec(&tx).await?;
            deliveries::release_all(&tx).await?;
            let (acked_seq, edge_seq) = (loaded.revision.number(), edge.number());
            let row = replica::Model { id, beat: 0, acked_seq, edge_seq };
            replica::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(&tx).await?;
            tx.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Takes the replica's row away. It must answer nothing from its index any more. What its
    /// verifiers may still answer, whoever begins after it waits for; beside other members the
    /// row would have to stay until that is over.
    pub async fn leave(&self, id: Uuid) -> Result<(), Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            replica::Entity::delete_by_id(id).exec(&tx).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// One turn of the sync loop, in one durable transaction: says what was applied,
    /// proves that this history still holds it, and reads what comes next.
    pub async fn sync(&self, turn: Turn) -> Result<Synced, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_sync().await?;
            let applied = turn.applied.revision.number();
            let in_history = event_log::Entity::find()
                .filter(event_log::Column::Seq.eq(applied))
                .filter(event_log::Column::EventId.eq(turn.applied.event_id))
                .into_query();
            let beat = replica::Entity::update_many()
                .col_expr(replica::Column::Beat, Expr::col(replica::Column::Beat).add(1))
                .col_expr(replica::Column::AckedSeq, Expr::value(applied))
                .col_expr(replica::Column::EdgeSeq, Expr::value(turn.edge.number()))
                .filter(replica::Column::Id.eq(turn.replica))
                .filter(Expr::exists(in_history))
                .exec(&tx)
                .await?;
            if beat.rows_affected != 1 {
                return Err(Error::NotRegistered);
            }
            let page = log::after(&tx, turn.applied.revision).await?;
            let members = replica::Entity::find().all(&tx).await?;
            let by_all = |said: fn(&replica::Model) -> i64| Revision::new(members.iter().map(said).min().unwrap_or(0));
            // The clock since boot first: a machine that sleeps in between is late, never early.
            let (time_at, time) = (store.inner.clock.boottime(), store.database_time());
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(Synced {
                events: page.events,
                more: page.more,
                time,
                time_at,
                acked_by_all: by_all(|row| row.acked_seq),
                edge_by_all: by_all(|row| row.edge_seq),
            })
        })
        .await
    }
}
