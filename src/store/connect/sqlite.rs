//! One file, one process, one writer at a time.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, SqliteTransactionMode, TransactionOptions,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use super::{BUSY, schema::count_statements};
use crate::store::{OpenError, lock::FileLock};

/// BEGIN IMMEDIATE: a deferred transaction that reads and then writes fails when another wrote in
/// between. Other engines take no notice of it.
pub(in crate::store) fn immediate() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}

/// Keeps others off a file that must be there.
pub(super) fn lock_existing(path: &Path) -> Result<FileLock, OpenError> {
    if path.exists() { FileLock::take(path) } else { Err(OpenError::Missing(path.display().to_string())) }
}

/// Makes the file, if there is none, and keeps others off it.
pub(super) async fn make(path: &Path) -> Result<FileLock, OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        let io = |error| OpenError::Io { path: folder.display().to_string(), error };
        tokio::fs::create_dir_all(folder).await.map_err(io)?;
    }
    let lock = FileLock::take(path)?;
    make_private(path)?;
    Ok(lock)
}

/// Makes the file, if there is none, readable by its owner only; SQLite gives its logs the
/// same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::Io { path: path.display().to_string(), error }),
    }
}

pub(super) async fn connect(path: &Path, size: u32, statements: &Arc<AtomicU64>) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    // Made by `migrate` alone: a file that is gone must not come back empty.
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rw", path.display()));
    options.max_connections(size).min_connections(1).sqlx_logging(false).acquire_timeout(BUSY).map_sqlx_sqlite_opts(
        move |sqlite| {
            sqlite
                .filename(&path)
                .journal_mode(SqliteJournalMode::Wal)
                // NORMAL loses acknowledged commits when the power goes.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY)
                // A log that once grew under a long read is cut back at the next checkpoint.
                .pragma("journal_size_limit", "67108864")
        },
    );
    Ok(count_statements(Database::connect(options).await?, statements))
}
