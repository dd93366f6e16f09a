//! A look at a database that nobody need have stopped, and that changes nothing there: for whoever asks
//! whether a server could serve from it.

use std::path::Path;

use portcullis_migrations::{Migrator, Standing};
use rustix::{fs::Access, io::Errno};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, EntityTrait as _, Statement,
    TryGetable as _,
};

use super::{
    DatabaseUrl, Error, OpenError, Restored, Standbys, Store, Unfit, Weakness, accounts,
    connect::{BUSY, look_at_postgres},
    entity::{log_head, webhook},
    lock::{FileLock, has_other_names},
    restored, server, tables,
    url::Place,
};
use crate::{
    clock::Clock,
    domain::{id::Revision, time::Timestamp},
};

/// What was seen.
#[derive(Debug)]
pub struct Look {
    /// Known to this program, and not applied there.
    pub pending: usize,
    /// How many this program knows.
    pub known: usize,
    /// Applied there, and not known to this program.
    pub unknown: Vec<String>,
    /// What is recorded there is another program's.
    pub is_anothers: bool,
    /// Of a database whose migrations are applied.
    pub unfit: Option<Unfit>,
    /// Whether what is there serves this program.
    pub serves: bool,
    /// Of a database whose schema is this program's.
    pub inside: Option<Inside>,
    /// How far the database's clock is ahead of this machine's, in microseconds; none where it is the same one.
    pub ahead: Option<i64>,
    pub weakness: Option<Weakness>,
    pub standbys: Option<Standbys>,
    pub file: Option<FileLook>,
}

/// Of the rows.
#[derive(Debug)]
pub struct Inside {
    pub revision: Revision,
    pub restored: Option<Restored>,
    /// Whether somebody can administer everything.
    pub has_admin: bool,
    /// Whose, and as they are stored.
    pub sealed: Vec<(String, Vec<u8>)>,
}

/// Of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileLook {
    pub is_writable: bool,
    /// Whether a server has it open.
    pub is_in_use: bool,
    /// Whether there are hard links to it, by which a second server could come.
    pub has_other_names: bool,
    pub bytes: u64,
    /// On its file system, for who is not root.
    pub free: u64,
    /// Whether it lies on a network.
    pub is_networked: bool,
}

impl Look {
    pub async fn take(url: &DatabaseUrl, clock: &Clock) -> Result<Self, OpenError> {
        let (database, file) = match &url.0 {
            Place::Sqlite(path) if !path.is_file() => return Err(OpenError::Missing(path.display().to_string())),
            Place::Sqlite(path) => {
                // SQLite does not say why. Opening it here would drop the locks of whoever has it open in this process.
                let io = |errno: Errno| OpenError::Io { path: path.display().to_string(), error: errno.into() };
                rustix::fs::access(path, Access::READ_OK).map_err(io)?;
                (open_file(path).await?, Some(look_at_file(path)?))
            }
            Place::Postgres(server) => (look_at_postgres(url, server).await?, None),
        };
        let Standing { pending, unknown, known, is_anothers } = Migrator::standing(&database).await?;
        let mut look = Self {
            pending,
            known,
            serves: pending == 0 && unknown.is_empty(),
            unknown,
            is_anothers,
            unfit: None,
            inside: None,
            ahead: None,
            weakness: None,
            standbys: None,
            file,
        };
        if url.is_shared() {
            look.ahead = Some(ahead(&database, clock).await?);
            let says = server::says(&database).await?;
            (look.weakness, look.standbys) = (says.0, Some(says.1));
        }
        if look.pending == 0 {
            look.unfit = tables::unfit(&database).await?;
        }
        if look.pending == 0 && look.unfit.is_none() {
            look.inside = look_inside(&database, &mut look.serves, look.known).await?;
        }
        database.close().await?;
        Ok(look)
    }
}

impl Store {
    /// How far the database's clock is ahead of this machine's, in microseconds; none where it is the same one, or
    /// a test's.
    pub async fn ahead(&self) -> Result<Option<i64>, OpenError> {
        if !self.is_shared() || self.inner.clock.is_manual() {
            return Ok(None);
        }
        ahead(&self.looks(), &self.inner.clock).await.map(Some)
    }
}

async fn look_inside(db: &DatabaseConnection, serves: &mut bool, known: usize) -> Result<Option<Inside>, OpenError> {
    let Some(head) = log_head::Entity::find().all(db).await?.pop() else { return Ok(None) };
    *serves = *serves || head.serves_from <= i64::try_from(known).unwrap_or(i64::MAX);
    let accounts = accounts::load(db, "").await?;
    let mut sealed = Vec::new();
    for webhook in webhook::Entity::find().all(db).await? {
        sealed.extend(webhook.old_secret.map(|secret| (webhook.webhook_id.clone(), secret)));
        sealed.push((webhook.webhook_id, webhook.secret));
    }
    Ok(Some(Inside {
        revision: Revision::new(head.seq),
        restored: restored::read(&head),
        has_admin: accounts.iter().any(crate::domain::account::ServiceAccount::is_root),
        sealed,
    }))
}

/// The time between the question and the answer is shared: what is left of it is nobody's clock.
async fn ahead(db: &impl ConnectionTrait, clock: &Clock) -> Result<i64, OpenError> {
    const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";
    let before = clock.now().micros();
    let mut rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, CLOCK)).await?;
    let after = clock.now().micros();
    let row = rows.pop().ok_or_else(|| Error::Corrupt("the server tells no time".to_owned()))?;
    let there = Timestamp::from_micros(i64::try_get_by(&row, "micros").map_err(DbErr::from)?);
    Ok(there.micros() - before.midpoint(after))
}

async fn open_file(path: &Path) -> Result<DatabaseConnection, OpenError> {
    let database = path.to_owned();
    // Where nobody has it open it needs no files beside it, and none are made.
    let alone = !super::backup::with_ending(path, "-wal").exists();
    let mut options = ConnectOptions::new("sqlite://");
    options.max_connections(1).sqlx_logging(false).acquire_timeout(BUSY).map_sqlx_sqlite_opts(move |sqlite| {
        sqlite.filename(&database).read_only(true).immutable(alone).busy_timeout(BUSY)
    });
    Ok(Database::connect(options).await?)
}

fn look_at_file(path: &Path) -> Result<FileLook, OpenError> {
    let io = |error| OpenError::Io { path: path.display().to_string(), error };
    let space = rustix::fs::statvfs(path).map_err(|error| io(error.into()))?;
    Ok(FileLook {
        is_writable: rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok(),
        is_in_use: FileLock::is_taken(path),
        has_other_names: has_other_names(path),
        bytes: path.metadata().map_err(io)?.len(),
        free: space.f_bavail.saturating_mul(space.f_frsize),
        is_networked: super::connect::is_networked(path),
    })
}
