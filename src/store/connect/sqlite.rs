//! One file, one process, one writer at a time.

use std::{
    io::ErrorKind,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use rustix::{fs::Access, io::Errno};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, SqliteTransactionMode, TransactionOptions,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use super::{BUSY, schema::count_statements};
use crate::store::{OpenError, lock::FileLock, owner::create_for};

/// BEGIN IMMEDIATE: a deferred transaction that reads and then writes fails when another wrote in
/// between. Other engines take no notice of it.
pub(in crate::store) fn immediate() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}

/// Keeps others off a file that must be there.
pub(super) fn lock_existing(path: &Path) -> Result<FileLock, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing(path.display().to_string()));
    }
    may_write(path)?;
    FileLock::take(path)
}

/// Asked of the system: what SQLite says of it comes later, and names no file.
fn may_write(path: &Path) -> Result<(), OpenError> {
    match rustix::fs::access(path, Access::WRITE_OK) {
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Err(OpenError::ReadOnly { path: path.display().to_string() }),
        _ => Ok(()),
    }
}

/// Whether a file is on a file system where a lock can be granted twice: to somebody new while the
/// one who has it is cut off and does not know. What is of a kind that is not known to be local is not; where
/// the system does not say, it is.
pub(in crate::store) fn is_networked(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        /// `f_type` of those that `statfs(2)` names which live on one machine.
        const LOCAL: &[u64] = &[
            0xef53,      // ext2, ext3, ext4
            0x5846_5342, // XFS
            0x9123_683e, // btrfs
            0x2fc1_2fc1, // ZFS
            0xf2f5_2010, // F2FS
            0x0102_1994, // tmpfs
            0x794c_7630, // overlayfs
            0xca45_1a4e, // bcachefs
            0x8584_58f6, // ramfs
            0x5265_4973, // reiserfs
            0x3153_464a, // JFS
        ];
        // Of 32 bits where the kernel says it in more, with a sign.
        let kind = rustix::fs::statfs(path).map(|found| u64::from((found.f_type & 0xffff_ffff).unsigned_abs() as u32));
        kind.is_ok_and(|kind| !LOCAL.contains(&kind))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        false
    }
}

/// Makes the file, if there is none, and keeps others off it.
pub(super) async fn make(path: &Path) -> Result<FileLock, OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        let io = |error| OpenError::Io { path: folder.display().to_string(), error };
        tokio::fs::create_dir_all(folder).await.map_err(io)?;
    }
    if path.exists() {
        may_write(path)?;
    }
    let lock = FileLock::take(path)?;
    make_private(path)?;
    Ok(lock)
}

/// Makes the file, if there is none, readable by its owner only; SQLite gives its logs the
/// same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match create_for(path, path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::Io { path: path.display().to_string(), error }),
    }
}

pub(in crate::store) async fn connect(
    path: &Path,
    size: u32,
    statements: &Arc<AtomicU64>,
) -> Result<DatabaseConnection, DbErr> {
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
