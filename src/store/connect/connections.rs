//! Connections by what they are for.

use std::sync::{Arc, atomic::AtomicU64};

use sea_orm::{DatabaseConnection, DbErr};

use super::{postgres, sqlite, turns};
use crate::store::{DatabaseUrl, url::Place};

/// By what they are for: none can be starved by another.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    /// Calls that read.
    pub(super) pool: DatabaseConnection,
    /// Calls that write: readers must not keep a writer waiting, and the sync loop behind it.
    pub(super) writer: DatabaseConnection,
    /// The sync loop's own connection: calls must not be able to starve the lease.
    pub(super) sync: DatabaseConnection,
    /// Budgets and usage. A call waits for its first chunk of a limit, so that nothing is done
    /// here without the turn: whoever has that finds it free.
    pub(super) ledger: DatabaseConnection,
    /// What nobody waits for: claims of jobs, findings, and what is forgotten. With the turn only.
    pub(super) upkeep: DatabaseConnection,
    /// The looks of those, whether there is something to do. They take no turn, and keep
    /// nobody who has it waiting.
    pub(super) looks: DatabaseConnection,
    /// What is to be told: neither waits for it, nor it for them.
    pub(super) outbox: DatabaseConnection,
}

impl Connections {
    /// `lazy`: each when it is used first.
    pub(super) async fn open(url: &DatabaseUrl, statements: &Arc<AtomicU64>, lazy: bool) -> Result<Self, DbErr> {
        let aside = Arc::default();
        Ok(match &url.0 {
            Place::Sqlite(path) => Self {
                pool: sqlite::connect(path, 8, statements).await?,
                writer: sqlite::connect(path, 1, statements).await?,
                sync: sqlite::connect(path, 1, &aside).await?,
                ledger: sqlite::connect(path, 1, &aside).await?,
                upkeep: sqlite::connect(path, 1, &aside).await?,
                looks: sqlite::connect(path, 1, &aside).await?,
                outbox: sqlite::connect(path, 1, &aside).await?,
            },
            Place::Postgres(url) => {
                let pool = postgres::Pool { url, lazy };
                Self {
                    pool: pool.reading(6, statements).await?,
                    writer: pool.writing(turns::WRITERS, statements).await?,
                    sync: pool.writing(1, &aside).await?,
                    ledger: pool.writing(1, &aside).await?,
                    upkeep: pool.writing(1, &aside).await?,
                    looks: pool.reading(1, &aside).await?,
                    outbox: pool.writing(2, &aside).await?,
                }
            }
        })
    }

    pub(super) fn all(self) -> [DatabaseConnection; 7] {
        let Self { pool, writer, sync, ledger, upkeep, looks, outbox } = self;
        [sync, ledger, upkeep, looks, outbox, writer, pool]
    }
}
