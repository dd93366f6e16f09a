//! A copy of a file that a server may be writing to: one moment of it, checked, and on the disk.

use std::{
    fs::File,
    future::pending,
    io,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use super::{DatabaseUrl, beside::sync_folder, connect::BUSY, lock::real_path, partial::Partial};
use crate::domain::id::Revision;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// The last one that it holds.
    pub revision: Revision,
    pub bytes: u64,
}

/// Why there is none. For the operator, so paths are named.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "a PostgreSQL database is backed up by its own tools: pg_basebackup with an archive of its log, or pg_dump"
    )]
    Server,
    #[error("there is no database at {0}")]
    Missing(String),
    #[error("{0} is there already, and a backup never overwrites: give another name, or move it away")]
    Exists(String),
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("{path}: {error}")]
    Sqlite { path: String, error: sqlx::Error },
    #[error("{path} is damaged: {found}")]
    Damaged { path: String, found: String },
    #[error("the copy was not taken as a whole: {0}")]
    NotTaken(io::Error),
    #[error("{0} holds no history of portcullis")]
    NoHistory(String),
    #[error("interrupted, and nothing of the copy is left")]
    Interrupted,
}

/// A look into a file that nobody writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) log_id: Uuid,
    pub(super) head: Revision,
    pub(super) migrations: Vec<String>,
}

impl Backup {
    /// Copies the database at `url` into the new file `out`. It takes no lock and writes nothing there, so a
    /// server may go on; what is in the copy is of one moment.
    pub async fn take(url: &DatabaseUrl, out: &Path) -> Result<Self, BackupError> {
        Self::take_until(url, out, pending()).await
    }

    /// As [`Backup::take`], and gives up when `stop` is done.
    pub async fn take_until(
        url: &DatabaseUrl,
        out: &Path,
        stop: impl Future<Output = ()>,
    ) -> Result<Self, BackupError> {
        let database = there(url)?;
        if out.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(out.display().to_string()));
        }
        let io = |error| BackupError::Io { path: out.display().to_string(), error };
        let new = Partial::beside(out).map_err(io)?;
        let examined = checked_copy(database, &new, out, stop).await?;
        let file = new.file.persist_noclobber(out).map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(out.display().to_string()),
            _ => io(refused.error),
        })?;
        file.sync_all().and_then(|()| sync_folder(out)).map_err(io)?;
        Ok(Self { revision: examined.head, bytes: file.metadata().map_err(io)?.len() })
    }

    /// As [`Backup::take_until`], into what takes it in one go, such as a pipe: it is copied beside the database first,
    /// and checked there. That copy has no name any more while it is written out.
    pub async fn write_until(
        url: &DatabaseUrl,
        mut to: File,
        stop: impl Future<Output = ()>,
    ) -> Result<Self, BackupError> {
        let database = there(url)?;
        let beside = real_path(database);
        let folder = beside.parent().unwrap_or(Path::new("."));
        let io = |error| BackupError::Io { path: format!("no copy can be made in {}", folder.display()), error };
        let new = Partial::beside(&beside).map_err(io)?;
        tokio::pin!(stop);
        let examined = checked_copy(database, &new, new.file.path(), &mut stop).await?;
        let mut copy = new.file.reopen().map_err(io)?;
        // However this ends from now on, and whoever is stuck: it has no name, and goes with the process.
        drop(new);
        let written = tokio::task::spawn_blocking(move || io::copy(&mut copy, &mut to));
        let bytes = tokio::select! {
            written = written => written.map_err(io::Error::other).flatten().map_err(BackupError::NotTaken)?,
            () = stop => return Err(BackupError::Interrupted),
        };
        Ok(Self { revision: examined.head, bytes })
    }
}

fn there(url: &DatabaseUrl) -> Result<&Path, BackupError> {
    let database = url.file().ok_or(BackupError::Server)?;
    if database.is_file() { Ok(database) } else { Err(BackupError::Missing(database.display().to_string())) }
}

async fn checked_copy(
    database: &Path,
    new: &Partial,
    out: &Path,
    stop: impl Future<Output = ()>,
) -> Result<Examined, BackupError> {
    tokio::pin!(stop);
    copy_into(database, new.file.path(), out, &mut stop).await?;
    tokio::select! {
        examined = examine(new.file.path()) => examined,
        () = stop => Err(BackupError::Interrupted),
    }
}

/// How many steps SQLite takes before it looks whether it is to stop.
const STEPS: i32 = 10_000;

async fn copy_into(database: &Path, new: &Path, out: &Path, stop: impl Future<Output = ()>) -> Result<(), BackupError> {
    let failed = |error| {
        let path = if is_of_the_copy(&error) { out } else { database };
        BackupError::Sqlite { path: path.display().to_string(), error }
    };
    let mut connection = reading(database, false).await.map_err(failed)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let goes_on = Arc::clone(&stopped);
    let goes_on = move || !goes_on.load(Ordering::Acquire);
    connection.lock_handle().await.map_err(failed)?.set_progress_handler(STEPS, goes_on);
    {
        let copied = sqlx::query("VACUUM INTO ?").bind(new.display().to_string()).execute(&mut connection);
        tokio::pin!(copied);
        tokio::select! {
            copied = &mut copied => { copied.map_err(failed)?; }
            () = stop => {
                // It is waited for: it takes away what it keeps beside the copy, and makes nothing any more.
                stopped.store(true, Ordering::Release);
                let _ = copied.await;
                return Err(BackupError::Interrupted);
            }
        }
    }
    connection.close().await.map_err(failed)?;
    let io = |error| BackupError::Io { path: out.display().to_string(), error };
    File::open(new).and_then(|file| file.sync_all()).map_err(io)
}

/// A disk that is full, or a write that failed: nothing is written to the database.
fn is_of_the_copy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // SQLITE_FULL, and of SQLITE_IOERR: _WRITE, _FSYNC, _TRUNCATE.
    matches!(code.as_deref(), Some("13" | "778" | "1034" | "1546"))
}

/// Whether it is whole, and how far it goes.
pub(super) async fn examine(path: &Path) -> Result<Examined, BackupError> {
    let failed = |error| BackupError::Sqlite { path: path.display().to_string(), error };
    let damaged = |found| BackupError::Damaged { path: path.display().to_string(), found };
    let mut connection = reading(path, true).await.map_err(failed)?;
    let found: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(&mut connection).await.map_err(failed)?;
    if found != ["ok"] {
        return Err(damaged(found.join("; ")));
    }
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('log_head', 'seaql_migrations')";
    if sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut connection).await.map_err(failed)? != 2 {
        return Err(BackupError::NoHistory(path.display().to_string()));
    }
    let migrations = sqlx::query_scalar("SELECT version FROM seaql_migrations").fetch_all(&mut connection).await;
    let migrations = migrations.map_err(failed)?;
    let examined = head_of(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    let (log_id, head) = examined.ok_or_else(|| BackupError::NoHistory(path.display().to_string()))?;
    Ok(Examined { log_id, head, migrations })
}

/// The history and the head of a file that may have a log beside it; none where it does not say.
pub(super) async fn head_at(path: &Path) -> Option<(Uuid, Revision)> {
    let mut connection = reading(path, false).await.ok()?;
    let head = head_of(&mut connection).await.ok()?;
    let _ = connection.close().await;
    head
}

async fn head_of(connection: &mut SqliteConnection) -> Result<Option<(Uuid, Revision)>, sqlx::Error> {
    let row: Option<(Uuid, i64)> =
        sqlx::query_as("SELECT log_id, seq FROM log_head WHERE id = 1").fetch_optional(connection).await?;
    Ok(row.map(|(log_id, seq)| (log_id, Revision::new(seq))))
}

/// `alone`: nobody has it open, so that it needs no files beside it.
async fn reading(path: &Path, alone: bool) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::from_str("sqlite://")?.filename(path).read_only(true).immutable(alone);
    options.busy_timeout(BUSY).disable_statement_logging().connect().await
}

/// Files that SQLite keeps beside a database.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    PathBuf::from(name)
}
