//! Whether the schema is this program's, and how it becomes that.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use portcullis_migrations::{Migrator, MigratorTrait as _, Standing};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, EntityTrait as _, QuerySelect as _, TransactionTrait as _};

use crate::store::{OpenError, audit::chain_backlog, entity::log_head, said, tables};

/// Applies the migrations that are pending, does what SQL cannot, and closes the connection.
pub(in crate::store) async fn migrate(database: DatabaseConnection) -> Result<usize, OpenError> {
    let Standing { pending, unknown, known, is_anothers } = Migrator::standing(&database).await?;
    if is_anothers {
        return Err(OpenError::Anothers);
    }
    if !unknown.is_empty() && (pending > 0 || !serves(&database, known).await?) {
        return Err(OpenError::Newer(unknown.join(", ")));
    }
    if pending == 0 {
        // A role that may not change the schema need not, where there is nothing to do; nor need a program that has
        // come back to a schema which lets it serve.
    } else if database.get_database_backend() == DbBackend::Sqlite {
        // All of them or none: PostgreSQL does each in a transaction of its own, and a file would be left half-way.
        let tx = database.begin().await?;
        Migrator::up(&tx, None).await.map_err(failed)?;
        tx.commit().await?;
    } else {
        Migrator::up(&database, None).await.map_err(failed)?;
    }
    chain_backlog(&database).await?;
    database.close().await?;
    Ok(pending)
}

fn failed(error: DbErr) -> OpenError {
    match said::denied(&error) {
        Some(words) => OpenError::NotOwner(words),
        None => OpenError::Migration(error),
    }
}

/// A schema that a newer version has made may serve this one, too: while both run side by side, or
/// when this one must come back. It says so itself.
pub(super) async fn check(database: &DatabaseConnection, is_shared: bool) -> Result<(), OpenError> {
    let Standing { pending, unknown, known, is_anothers } = Migrator::standing(database).await?;
    if is_anothers {
        return Err(OpenError::Anothers);
    }
    if is_shared && pending == known {
        return Err(OpenError::NoSchema);
    }
    if pending > 0 {
        return Err(OpenError::NotMigrated { pending });
    }
    if !unknown.is_empty() {
        if !serves(database, known).await? {
            return Err(OpenError::Newer(unknown.join(", ")));
        }
        tracing::warn!("the schema is of a newer version, which lets this one serve; bring it up to date soon");
    }
    tables::unfit(database).await?.map_or(Ok(()), |unfit| Err(OpenError::Unfit(unfit)))
}

/// Whether the schema says that a program which knows so many migrations may serve.
async fn serves(database: &DatabaseConnection, known: usize) -> Result<bool, OpenError> {
    let from: Option<i64> = log_head::Entity::find()
        .select_only()
        .column(log_head::Column::ServesFrom)
        .into_tuple()
        .all(database)
        .await?
        .pop();
    let known = i64::try_from(known).unwrap_or(i64::MAX);
    Ok(from.is_some_and(|from| from <= known))
}

pub(super) fn count_statements(mut database: DatabaseConnection, statements: &Arc<AtomicU64>) -> DatabaseConnection {
    let statements = Arc::clone(statements);
    database.set_metric_callback(move |_| {
        statements.fetch_add(1, Ordering::SeqCst);
    });
    database
}
