//! The schema, as a history: a migration that was released never changes, and none
//! imports today's entities. Column types must exist on SQLite and PostgreSQL alike.

#![allow(
    elided_lifetimes_in_paths,
    reason = "the migration trait is declared without them, and async_trait holds us to its form"
)]

pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m20261121_000001_init;
mod m20261121_000002_limits;
mod m20261127_000003_lifecycle;
mod m20261127_000004_audit;
mod m20261127_000005_webhooks;
mod m20261127_000006_timers;
mod m20261127_000007_signals;

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
        ]
    }
}
