//! Puts a backup in the place of a database.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use portcullis_migrations::{Migrator, MigratorTrait as _};
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use super::{
    DatabaseUrl, Error, OpenError, Restored, Store,
    backup::{BackupError, examine, head_at, with_ending},
    beside::{Beside, sync_folder},
    connect::{connect_file, migrate_file},
    lock::{FileLock, real_path},
    owner::create_for,
    restored,
};
use crate::{clock::Clock, domain::id::Revision};

/// What was put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    pub restored: Restored,
    /// Where what was there before is now.
    pub aside: Option<PathBuf>,
}

/// What a backup may take the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// A database of the same history, or none.
    OwnHistory,
    /// Another deployment's as well.
    AnyHistory,
}

/// Why a backup was not put there. What was there before is there still, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(
        "a PostgreSQL database is restored by its own tools; then `portcullis restore --mark-only` says so, before any \
         replica serves from it"
    )]
    Server,
    #[error("there is no backup at {0}")]
    Missing(String),
    #[error(
        "{0} has a log beside it ({0}-wal), so it is no backup but a database that was copied while it was in use: make \
         backups with `portcullis backup`"
    )]
    HasLog(String),
    #[error(
        "the backup is of a newer version of portcullis (it has {0}); use the version that wrote it, or a newer one"
    )]
    Newer(String),
    #[error(
        "{database} is the database of another deployment, or was made anew since: its history is {there}, the backup's \
         is {backup}; look whether both are the right ones, and say --replace-another-history if they are"
    )]
    AnotherHistory { database: String, there: Uuid, backup: Uuid },
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
}

fn io(path: &Path) -> impl Fn(io::Error) -> RestoreError + '_ {
    move |error| RestoreError::Io { path: path.display().to_string(), error }
}

impl Store {
    /// Puts the backup at `from` in the place of the database at `url`, which nobody may have open, moves what
    /// was there aside, and marks what is there now: it is answered from when somebody has said what it lost.
    pub async fn restore(
        url: &DatabaseUrl,
        from: &Path,
        replaces: Replaces,
        clock: &Clock,
    ) -> Result<Put, RestoreError> {
        let database = real_path(url.file().ok_or(RestoreError::Server)?);
        if !from.is_file() {
            return Err(RestoreError::Missing(from.display().to_string()));
        }
        if fs::metadata(with_ending(from, "-wal")).is_ok_and(|log| log.len() > 0) {
            return Err(RestoreError::HasLog(from.display().to_string()));
        }
        if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(io(folder))?;
        }
        let _lock = FileLock::take(&database)?;
        let backup = examine(from).await?;
        let known = Migrator::migrations();
        let unknown = |name: &&String| !known.iter().any(|migration| migration.name() == name.as_str());
        let newer: Vec<_> = backup.migrations.iter().filter(unknown).cloned().collect();
        if !newer.is_empty() {
            return Err(RestoreError::Newer(newer.join(", ")));
        }
        let beside = Beside::of(&database).read().ok().flatten().map(|noted| (noted.log_id, noted.revision));
        let heads = [head_at(&database).await, beside];
        // One that does not read any more is what the file beside it says.
        if database.is_file()
            && let Some((there, _)) = heads[0].or(heads[1])
            && there != backup.log_id
            && replaces == Replaces::OwnHistory
        {
            let database = database.display().to_string();
            return Err(RestoreError::AnotherHistory { database, there, backup: backup.log_id });
        }
        // Of another history nothing is known, and nothing was lost.
        let heads = heads.into_iter().flatten();
        let lost_to = heads.filter(|(log_id, _)| *log_id == backup.log_id).map(|(_, head)| head).max();

        let new = with_ending(&database, ".restoring");
        // What a restore left that was cut off: a log of it would be taken for the new file's.
        remove(&new)?;
        let _unfinished = Unfinished(&new);
        copy(from, &new, &database)?;
        let restored = prepare(&new, lost_to.unwrap_or_default(), clock).await?;
        examine(&new).await?;
        let aside = exchange(&new, &database, clock)?;
        Ok(Put { restored, aside })
    }
}

/// Goes with what it was to become, when anything goes wrong: the server before may need the room. In its place it
/// has this name no more.
struct Unfinished<'a>(&'a Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let _ = remove(self.0);
    }
}

fn remove(new: &Path) -> Result<(), RestoreError> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let left = with_ending(new, ending);
        if left.symlink_metadata().is_ok() {
            fs::remove_file(&left).map_err(io(&left))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, new: &Path, database: &Path) -> Result<(), RestoreError> {
    let mut reader = fs::File::open(from).map_err(io(from))?;
    let mut writer = create_for(database, new).map_err(io(new))?;
    io::copy(&mut reader, &mut writer).and_then(|_| writer.sync_all()).map_err(io(new))
}

/// Brings its schema up to this version, marks it, and leaves one file on the disk.
async fn prepare(new: &Path, lost_to: Revision, clock: &Clock) -> Result<Restored, RestoreError> {
    let connect = || async { connect_file(new, 1, &std::sync::Arc::default()).await.map_err(OpenError::from) };
    Box::pin(migrate_file(connect().await?)).await?;
    let database = connect().await?;
    let marked = restored::mark(&database, clock.now(), lost_to).await.map_err(OpenError::from)?;
    database.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.map_err(OpenError::from)?;
    database.close().await.map_err(|error| OpenError::from(Error::from(error)))?;
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(with_ending(new, ending));
    }
    fs::File::open(new).and_then(|file| file.sync_all()).map_err(io(new))?;
    Ok(marked)
}

/// For what is moved aside. What an earlier restore moved there stays: nothing is deleted.
fn free_name(database: &Path, seconds: i64) -> io::Result<PathBuf> {
    let names = (1..=100).map(|n| match n {
        1 => with_ending(database, &format!(".before-restore-{seconds}")),
        n => with_ending(database, &format!(".before-restore-{seconds}-{n}")),
    });
    let mut free = names.filter(|name| name.symlink_metadata().is_err());
    free.next().ok_or_else(|| io::Error::new(io::ErrorKind::AlreadyExists, "too many restores in one second"))
}

/// Moves what is there aside, with its log, and the new file into its place.
fn exchange(new: &Path, database: &Path, clock: &Clock) -> Result<Option<PathBuf>, RestoreError> {
    let aside = free_name(database, clock.now().seconds()).map_err(io(database))?;
    let there = database.symlink_metadata().is_ok();
    if there {
        // By a second name, so that there is a database at every moment; where there are no such, by another one.
        fs::hard_link(database, &aside).or_else(|_| fs::rename(database, &aside)).map_err(io(&aside))?;
    }
    // A log that stays would be taken for the new file's.
    for ending in ["-wal", "-shm"] {
        let log = with_ending(database, ending);
        if log.symlink_metadata().is_ok() {
            fs::rename(&log, with_ending(&aside, ending)).map_err(io(&log))?;
        }
    }
    fs::rename(new, database).and_then(|()| sync_folder(database)).map_err(io(database))?;
    Ok(there.then_some(aside))
}
