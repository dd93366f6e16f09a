use std::{
    fs::OpenOptions,
    io::ErrorKind,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis_migrations::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{Mutex, MutexGuard, Notify, Semaphore, SemaphorePermit};

use super::{DatabaseUrl, Error, OpenError, audit::chain_backlog, lock::FileLock};
use crate::{clock::Clock, domain::time::Timestamp, entropy::Entropy};

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// Calls that read.
    pool: DatabaseConnection,
    /// Calls that write: readers must not keep a writer waiting, and the sync loop behind it.
    writer: DatabaseConnection,
    /// The sync loop's own connection: calls must not be able to starve the lease.
    sync: DatabaseConnection,
    /// Budgets and usage. A call waits for its first chunk of a limit, so that nothing is done
    /// here without the turn: whoever has that finds it free.
    ledger: DatabaseConnection,
    /// What nobody waits for: claims of jobs, findings, and what is forgotten. With the turn only.
    upkeep: DatabaseConnection,
    /// The looks of those, whether there is something to do. They take no turn, and keep
    /// nobody who has it waiting.
    looks: DatabaseConnection,
    /// What is to be told: neither waits for it, nor it for them.
    outbox: DatabaseConnection,
    /// Writers in the order of their coming. SQLite has one writer at a time, and waits
    /// for it by polling, which is unfair.
    turn: Mutex<()>,
    /// Calls wait here first, so that the sync loop is behind one of them at most.
    queue: Mutex<()>,
    /// Places for calls that wait to write, and for those that read or wait to.
    waiting: Semaphore,
    pub(super) reads: Arc<Semaphore>,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    latest_micros: AtomicI64,
    statements: Arc<AtomicU64>,
    pub(super) hand_outs: AtomicU64,
    pub(super) forgotten_at_once: AtomicU64,
    /// Whether there is a server that takes mail.
    pub(super) mail: AtomicBool,
    /// Something is to be told.
    pub(super) told: Notify,
    _lock: FileLock,
}

/// The right to write, until dropped.
#[derive(Debug)]
pub(super) struct WriteTurn<'a> {
    _turn: MutexGuard<'a, ()>,
    _queue: Option<MutexGuard<'a, ()>>,
    _place: Option<SemaphorePermit<'a>>,
}

const POOL: u32 = 8;
/// How many calls may wait to write.
const WAITING: usize = 128;
/// How many may read, or wait for a connection to.
const READING: usize = 64;
/// How long one statement may wait for another process's lock.
const BUSY: Duration = Duration::from_secs(5);

impl Store {
    /// Opens a migrated database and keeps other processes off it.
    pub async fn open(url: &DatabaseUrl, clock: Clock, entropy: Entropy) -> Result<Self, OpenError> {
        if !url.path.exists() {
            return Err(OpenError::Missing(url.path.display().to_string()));
        }
        let lock = FileLock::take(&url.path)?;
        let statements = Arc::new(AtomicU64::new(0));
        let pool = connect(url, POOL, &statements).await?;
        check_schema(&pool).await?;
        let writer = connect(url, 1, &statements).await?;
        let sync = connect(url, 1, &Arc::default()).await?;
        let ledger = connect(url, 1, &Arc::default()).await?;
        let upkeep = connect(url, 1, &Arc::default()).await?;
        let looks = connect(url, 1, &Arc::default()).await?;
        let outbox = connect(url, 1, &Arc::default()).await?;
        let inner = Inner {
            pool,
            sync,
            ledger,
            upkeep,
            looks,
            outbox,
            turn: Mutex::new(()),
            queue: Mutex::new(()),
            waiting: Semaphore::new(WAITING),
            reads: Arc::new(Semaphore::new(READING)),
            writer,
            clock,
            entropy,
            latest_micros: AtomicI64::new(i64::MIN),
            statements,
            hand_outs: AtomicU64::new(0),
            forgotten_at_once: AtomicU64::new(0),
            mail: AtomicBool::new(false),
            told: Notify::new(),
            _lock: lock,
        };
        let store = Self { inner: Arc::new(inner) };
        store.begin_history().await?;
        Ok(store)
    }

    /// Makes the database if there is none, and applies the migrations it lacks.
    /// Answers how many there were.
    pub async fn migrate(url: &DatabaseUrl) -> Result<usize, OpenError> {
        let folder = url.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            let io = |error| OpenError::Io { path: folder.display().to_string(), error };
            tokio::fs::create_dir_all(folder).await.map_err(io)?;
        }
        let _lock = FileLock::take(&url.path)?;
        make_private(&url.path)?;
        let database = connect(url, 1, &Arc::default()).await?;
        let pending = pending(&database).await?;
        Migrator::up(&database, None).await?;
        chain_backlog(&database).await?;
        database.close().await?;
        Ok(pending)
    }

    /// How many statements calls have sent; not those of the sync loop, the ledger
    /// and the upkeep: a test holds Verify to none.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.inner.statements.load(Ordering::SeqCst)
    }

    /// The database's time. The engine in the same process has this process's clock; where
    /// that is set back, the time of what was written does not go back with it.
    pub(super) fn database_time(&self) -> Timestamp {
        let now = self.inner.clock.now();
        let latest = self.inner.latest_micros.fetch_max(now.micros(), Ordering::AcqRel);
        now.max(Timestamp::from_micros(latest))
    }

    /// Closes the connections. SQLite then folds its log into the database file, so that the
    /// one file is all there is.
    pub async fn close(&self) {
        let Inner { sync, ledger, upkeep, looks, outbox, writer, pool, .. } = &*self.inner;
        for connection in [sync, ledger, upkeep, looks, outbox, writer, pool] {
            if let Err(error) = connection.close_by_ref().await {
                tracing::warn!(%error, "the database did not close");
            }
        }
    }

    /// Waits for this writer's turn and begins. BEGIN IMMEDIATE: a deferred transaction
    /// that reads and then writes fails when another wrote in between. Refuses when many
    /// wait already: they would outlive their callers.
    pub(super) async fn begin_write(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let place = self.inner.waiting.try_acquire().map_err(|_| Error::Overloaded)?;
        self.begin_in_line(place).await
    }

    /// As [`Store::begin_write`], for the few that nobody waits for: they take the next place.
    pub(super) async fn begin_patient_write(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let place = self.inner.waiting.acquire().await.map_err(|_| Error::Overloaded)?;
        self.begin_in_line(place).await
    }

    async fn begin_in_line<'a>(
        &'a self,
        place: SemaphorePermit<'a>,
    ) -> Result<(WriteTurn<'a>, DatabaseTransaction), Error> {
        let queue = self.inner.queue.lock().await;
        let turn = WriteTurn { _turn: self.inner.turn.lock().await, _queue: Some(queue), _place: Some(place) };
        Ok((turn, self.inner.writer.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_sync(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = WriteTurn { _turn: self.inner.turn.lock().await, _queue: None, _place: None };
        Ok((turn, self.inner.sync.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_ledger(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = WriteTurn { _turn: self.inner.turn.lock().await, _queue: None, _place: None };
        Ok((turn, self.inner.ledger.begin_with_options(immediate()).await?))
    }

    /// In the line of the calls, so that the sync loop is behind one of all of them at most; but
    /// never refused.
    pub(super) async fn begin_upkeep(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let queue = self.inner.queue.lock().await;
        let turn = WriteTurn { _turn: self.inner.turn.lock().await, _queue: Some(queue), _place: None };
        Ok((turn, self.inner.upkeep.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_outbox(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = WriteTurn { _turn: self.inner.turn.lock().await, _queue: None, _place: None };
        Ok((turn, self.inner.outbox.begin_with_options(immediate()).await?))
    }

    /// A look at what is to be told: it waits for nobody who writes.
    pub(super) async fn look_at_outbox(&self) -> Result<DatabaseTransaction, DbErr> {
        self.inner.outbox.begin().await
    }

    /// For a look that is no call's.
    pub(super) fn looks(&self) -> &DatabaseConnection {
        &self.inner.looks
    }

    /// Begins a transaction that sees one moment and writes nothing.
    pub(super) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        self.inner.pool.begin().await
    }
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

pub(super) fn immediate() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}

async fn connect(url: &DatabaseUrl, size: u32, statements: &Arc<AtomicU64>) -> Result<DatabaseConnection, DbErr> {
    let path = url.path.clone();
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
    let mut connection = Database::connect(options).await?;
    let statements = Arc::clone(statements);
    connection.set_metric_callback(move |_| {
        statements.fetch_add(1, Ordering::SeqCst);
    });
    Ok(connection)
}

async fn pending(database: &DatabaseConnection) -> Result<usize, OpenError> {
    match Migrator::get_pending_migrations(database).await {
        Ok(pending) => Ok(pending.len()),
        Err(DbErr::Custom(what) | DbErr::Migration(what)) => Err(OpenError::Newer(what)),
        Err(error) => Err(error.into()),
    }
}

async fn check_schema(database: &DatabaseConnection) -> Result<(), OpenError> {
    match pending(database).await? {
        0 => Ok(()),
        pending => Err(OpenError::NotMigrated { pending }),
    }
}
