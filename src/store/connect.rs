//! Opens the database, and keeps its connections by what they are for.

mod postgres;
mod schema;
mod sqlite;
mod turns;

use std::{
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};
use tokio::sync::{Notify, Semaphore};

use super::{DatabaseUrl, Error, OpenError, lock::FileLock, url::Place};
use crate::{clock::Clock, entropy::Entropy};
pub(super) use postgres::doorbell;
pub(super) use sqlite::immediate;
use turns::{Turns, WriteTurn};

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    url: DatabaseUrl,
    connections: RwLock<Connections>,
    pub(super) turns: Turns,
    /// Places for calls that read or wait to.
    pub(super) reads: Arc<Semaphore>,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) latest_micros: AtomicI64,
    statements: Arc<AtomicU64>,
    pub(super) hand_outs: AtomicU64,
    pub(super) forgotten_at_once: AtomicU64,
    /// Whether there is a server that takes mail.
    pub(super) mail: AtomicBool,
    /// Something is to be told.
    pub(super) told: Notify,
    _lock: Option<FileLock>,
}

/// By what they are for: none can be starved by another.
#[derive(Debug, Clone)]
struct Connections {
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
}

/// How many may read, or wait for a connection to.
const READING: usize = 64;
/// How long one statement may wait for another's lock, or for a connection.
const BUSY: Duration = Duration::from_secs(5);
/// How long work may take at a server, where it is on the other side of a network: what is longer
/// without an answer will not get one.
const UNANSWERED: Duration = Duration::from_secs(15);

impl Store {
    /// Opens a migrated database. A file is kept from other processes; a server is shared.
    pub async fn open(url: &DatabaseUrl, clock: Clock, entropy: Entropy) -> Result<Self, OpenError> {
        let lock = match &url.0 {
            Place::Sqlite(path) => Some(sqlite::lock_existing(path)?),
            Place::Postgres(_) => None,
        };
        let statements = Arc::new(AtomicU64::new(0));
        let connections = Connections::open(url, &statements, false).await?;
        schema::check(&connections.pool).await?;
        let inner = Inner {
            url: url.clone(),
            connections: RwLock::new(connections),
            turns: if url.is_shared() { Turns::each() } else { Turns::one() },
            reads: Arc::new(Semaphore::new(READING)),
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

    /// Makes the file if there is none, and applies the migrations that the database lacks.
    /// Answers how many there were. Of several that do this at once one does it.
    pub async fn migrate(url: &DatabaseUrl) -> Result<usize, OpenError> {
        match &url.0 {
            Place::Sqlite(path) => {
                let _lock = sqlite::make(path).await?;
                schema::migrate(sqlite::connect(path, 1, &Arc::default()).await?).await
            }
            Place::Postgres(url) => {
                let database = postgres::connect_one(url).await?;
                postgres::lock_migrations(&database).await?;
                schema::migrate(database).await
            }
        }
    }

    /// Whether other processes may serve from the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.url.is_shared()
    }

    pub(super) fn place(&self) -> &Place {
        &self.inner.url.0
    }

    /// How many statements calls have sent; not those of the sync loop, the ledger
    /// and the upkeep: a test holds Verify to none.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.inner.statements.load(Ordering::SeqCst)
    }

    /// Closes the connections. SQLite then folds its log into the database file, so that the
    /// one file is all there is.
    pub async fn close(&self) {
        for connection in self.connections().all() {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "the database did not close");
            }
        }
    }

    fn connections(&self) -> Connections {
        self.inner.connections.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for this writer's turn and begins. Refuses when many wait already: they would
    /// outlive their callers.
    pub(super) async fn begin_write(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = self.inner.turns.write()?.await?;
        Ok((turn, self.connections().writer.begin_with_options(immediate()).await?))
    }

    /// As [`Store::begin_write`], for the few that nobody waits for: they take the next place.
    pub(super) async fn begin_patient_write(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = self.inner.turns.patient_write().await?;
        Ok((turn, self.connections().writer.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_sync(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = self.inner.turns.sync().await?;
        Ok((turn, self.connections().sync.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_ledger(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = self.inner.turns.ledger().await?;
        Ok((turn, self.connections().ledger.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_upkeep(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = self.inner.turns.upkeep().await?;
        Ok((turn, self.connections().upkeep.begin_with_options(immediate()).await?))
    }

    pub(super) async fn begin_outbox(&self) -> Result<(WriteTurn<'_>, DatabaseTransaction), Error> {
        let turn = self.inner.turns.outbox().await?;
        Ok((turn, self.connections().outbox.begin_with_options(immediate()).await?))
    }

    /// A look at what is to be told: it waits for nobody who writes.
    pub(super) async fn look_at_outbox(&self) -> Result<DatabaseTransaction, DbErr> {
        self.connections().outbox.begin().await
    }

    /// For a look that is no call's.
    pub(super) fn looks(&self) -> DatabaseConnection {
        self.connections().looks
    }

    /// Begins a transaction that sees one moment and writes nothing.
    pub(super) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        self.connections().pool.begin().await
    }

    /// Runs database work in a task that a cancelled call cannot drop: a driver whose
    /// transaction is dropped half-way may hand the open one to the next caller.
    pub(super) async fn detached<T, F, Fut>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.detached_within(UNANSWERED, work).await
    }

    /// As [`Store::detached`], where the answer is of no use afterwards.
    pub(super) async fn detached_within<T, F, Fut>(&self, within: Duration, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (store, work) = (self.clone(), work(self.clone()));
        match tokio::spawn(async move { store.answered(within, work).await }).await {
            Ok(answer) => answer,
            Err(error) => Err(Error::TaskLost(error.to_string())),
        }
    }

    /// Gives work up that a server does not answer: nothing tells a connection whose other end is
    /// gone without a word from one that is slow, and it would be waited for until the system's
    /// own patience ends. Every connection is made anew then; whoever still has an old one keeps it.
    pub(super) async fn answered<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if !self.is_shared() {
            return work.await;
        }
        match tokio::time::timeout(within, work).await {
            Ok(answer) => answer,
            Err(_) => {
                self.connect_anew().await;
                Err(Error::Unanswered(within))
            }
        }
    }

    async fn connect_anew(&self) {
        match Connections::open(&self.inner.url, &self.inner.statements, true).await {
            Ok(new) => {
                let mut connections = self.inner.connections.write().unwrap_or_else(PoisonError::into_inner);
                let old = std::mem::replace(&mut *connections, new);
                drop(connections);
                for connection in old.all() {
                    tokio::spawn(connection.close());
                }
            }
            Err(error) => tracing::error!(%error, "the connections cannot be made anew"),
        }
    }
}

impl Connections {
    /// `lazy`: each when it is used first.
    async fn open(url: &DatabaseUrl, statements: &Arc<AtomicU64>, lazy: bool) -> Result<Self, DbErr> {
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

    fn all(self) -> [DatabaseConnection; 7] {
        let Self { pool, writer, sync, ledger, upkeep, looks, outbox } = self;
        [sync, ledger, upkeep, looks, outbox, writer, pool]
    }
}
