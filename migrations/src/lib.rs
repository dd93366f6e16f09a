//! The schema, as a history: a migration that was released never changes, and none
//! imports today's entities. Column types must exist on SQLite and PostgreSQL alike.

#![allow(
    elided_lifetimes_in_paths,
    reason = "the migration trait is declared without them, and async_trait holds us to its form"
)]

use std::collections::BTreeSet;

pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DatabaseConnection, Statement},
};

mod m20261121_000001_init;
mod m20261121_000002_limits;
mod m20261127_000003_lifecycle;
mod m20261127_000004_audit;
mod m20261127_000005_webhooks;
mod m20261127_000006_timers;
mod m20261127_000007_signals;
mod m20261128_000008_replicas;
mod m20261128_000009_tls;
mod m20261128_000010_ops;
mod m20261128_000011_import;

/// The oldest program, by the number of its last migration, that the schema of today serves. A migration
/// that takes away what an older one needs raises it, here and in `log_head.serves_from`.
pub const SERVES_FROM: i64 = 8;

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_init::Migration),
            Box::new(m20261121_000002_limits::Migration),
            Box::new(m20261127_000003_lifecycle::Migration),
            Box::new(m20261127_000004_audit::Migration),
            Box::new(m20261127_000005_webhooks::Migration),
            Box::new(m20261127_000006_timers::Migration),
            Box::new(m20261127_000007_signals::Migration),
            Box::new(m20261128_000008_replicas::Migration),
            Box::new(m20261128_000009_tls::Migration),
            Box::new(m20261128_000010_ops::Migration),
            Box::new(m20261128_000011_import::Migration),
        ]
    }
}

/// How a database stands to the migrations that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Known here, and not applied there.
    pub pending: usize,
    /// Applied there, and not known here: a newer version was at work.
    pub unknown: Vec<String>,
    /// How many are known here: the number of the last one.
    pub known: usize,
    /// What is recorded there is another program's.
    pub is_anothers: bool,
}

impl Migrator {
    /// Looks, and writes nothing.
    ///
    /// # Errors
    /// What the database says when it cannot be read.
    pub async fn standing(database: &DatabaseConnection) -> Result<Standing, DbErr> {
        let known: BTreeSet<String> = Self::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let mut applied = BTreeSet::new();
        let (manager, table) = (SchemaManager::new(database), "seaql_migrations");
        let is_there = manager.has_table(table).await?;
        let reads = is_there && manager.has_column(table, "version").await?;
        if reads {
            // Another program's may be of any type.
            let sql = "SELECT CAST(version AS text) FROM seaql_migrations";
            for row in database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await? {
                applied.insert(row.try_get_by_index::<String>(0)?);
            }
        }
        Ok(Standing {
            pending: known.difference(&applied).count(),
            unknown: applied.difference(&known).cloned().collect(),
            known: known.len(),
            is_anothers: is_there != reads || (!applied.is_empty() && applied.is_disjoint(&known)),
        })
    }
}
