//! Who serves: a row a replica, which is in the way of every revocation until it says that it has
//! applied it.

use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    Error, Store, codec, deliveries,
    entity::{job_claim, log_head, replica},
    forget, log,
};
use crate::domain::{event, event::Position, id::Revision};

/// What a replica has said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub id: Uuid,
    /// One more with each sync.
    pub beat: i64,
    /// What it has applied.
    pub acked: Revision,
    /// What is at its edge.
    pub edge: Revision,
    /// For how long it answers after it last proved that it is fresh.
    pub lease: Duration,
}

/// A replica that begins.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    /// What it has loaded.
    pub loaded: Position,
    pub edge: Revision,
    pub lease: Duration,
}

/// Of a replica that answers nothing any more: it is in nobody's way.
const EVERYTHING: i64 = i64::MAX;

/// The longest lease that a replica may have; of one that said nothing of it.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60);

pub(super) fn read(row: replica::Model) -> Member {
    let lease = u64::try_from(row.lease).ok().filter(|lease| *lease > 0).map(Duration::from_micros);
    Member {
        id: row.id,
        beat: row.beat,
        acked: Revision::new(row.acked_seq),
        edge: Revision::new(row.edge_seq),
        lease: lease.unwrap_or(LONGEST_LEASE),
    }
}

/// What those left behind who had a file before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftBehind {
    /// The longest of their leases: what they allowed verifiers to keep may still be kept.
    pub lease: Duration,
    /// Whether one of them did not say that it ended, and may not know yet that it has lost the file:
    /// its lock was given away on a network.
    pub may_answer: bool,
}

impl Store {
    /// Nothing at a server: there they are members like others.
    pub async fn left_behind(&self) -> Result<LeftBehind, Error> {
        if self.is_shared() {
            return Ok(LeftBehind::default());
        }
        self.detached(async move |store| {
            let rows = replica::Entity::find().all(&store.looks()).await?;
            let crashed = rows.iter().any(|row| row.acked_seq != EVERYTHING);
            let lease = rows.into_iter().map(|row| read(row).lease).max().unwrap_or_default();
            Ok(LeftBehind { lease, may_answer: crashed && store.is_networked() })
        })
        .await
    }

    /// Registers a replica that has loaded, under a name that nobody had before. Grants nothing: only
    /// a sync does. Of a file the lock says that every other row, and every claim of a job or a
    /// delivery, is of a dead process, so they go.
    pub async fn join(&self, newcomer: Newcomer) -> Result<Uuid, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            // A newer program may have written what this one could not read, or be about to: whoever
            // has the head has counted who is there, and not this one.
            let head = log_head::Entity::find_by_id(log::HEAD).lock_shared().all(&tx).await?.pop();
            let version = head.map(|head| head.version);
            if version.is_some_and(|version| version > event::READS) {
                return Err(Error::NewerEvents);
            }
            let id = store.inner.entropy.uuid(store.time(&tx).await?)?;
            if !store.is_shared() {
                replica::Entity::delete_many().exec(&tx).await?;
                job_claim::Entity::delete_many().exec(&tx).await?;
                deliveries::release_all(&tx).await?;
            }
            let row = replica::Model {
                id,
                beat: 0,
                acked_seq: newcomer.loaded.revision.number(),
                edge_seq: newcomer.edge.number(),
                lease: codec::micros(newcomer.lease),
                reads: event::READS,
            };
            replica::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(&tx).await?;
            tx.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Takes a replica out that answers nothing from its index any more. What it allowed verifiers to
    /// keep outlives it by `kept`: its row stays so long, and is in the way of those who wait for
    /// verifiers only.
    pub async fn leave(&self, id: Uuid, kept: Duration) -> Result<(), Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            if kept > Duration::ZERO {
                // A beat more: silence is counted from it on, and so is what is kept.
                replica::Entity::update_many()
                    .col_expr(replica::Column::Beat, Expr::col(replica::Column::Beat).add(1))
                    .col_expr(replica::Column::AckedSeq, Expr::value(EVERYTHING))
                    .col_expr(replica::Column::Lease, Expr::value(Ord::max(codec::micros(kept), 1)))
                    .filter(replica::Column::Id.eq(id))
                    .exec(&tx)
                    .await?;
            } else {
                replica::Entity::delete_by_id(id).exec(&tx).await?;
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Takes a member out that has been silent for so long that its lease is over, unless it spoke
    /// meanwhile: `false` then. Whoever is taken out finds its row gone at its next sync, and joins
    /// anew. On the sync loop's own connection, and given up after `within`; a row that is locked stays,
    /// since whoever locks it is alive.
    pub async fn remove_silent(&self, id: Uuid, beat: i64, within: Duration) -> Result<bool, Error> {
        self.detached_within(within, async move |store| {
            let (_turn, tx) = store.begin_sync().await?;
            let silent = replica::Entity::find_by_id(id).filter(replica::Column::Beat.eq(beat));
            let removed = forget::delete_unlocked(&tx, silent).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(removed == 1)
        })
        .await
    }
}
