//! Opens the database, and keeps its connections by what they are for.

mod connections;
mod detached;
mod postgres;
mod schema;
mod sqlite;
mod turns;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};
use secrecy::SecretString;
use tokio::sync::{Mutex, Notify, Semaphore};

use super::{DatabaseUrl, Error, OpenError, beside::Beside, lock::FileLock, url::Place};
use crate::{clock::Clock, entropy::Entropy};
use connections::Connections;
pub(super) use detached::UNANSWERED;
pub use postgres::Unreached;
pub(super) use postgres::doorbell;
pub(super) use schema::migrate as migrate_file;
pub(super) use sqlite::{connect as connect_file, immediate, is_networked};
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
    /// How often they were made anew.
    renewed: Mutex<u64>,
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
    /// The head number kept beside a file.
    pub(super) beside: Option<Beside>,
    _lock: Option<FileLock>,
}

/// How many may read, or wait for a connection to.
const READING: usize = 64;
/// How long one statement may wait for another's lock, or for a connection.
pub(super) const BUSY: Duration = Duration::from_secs(5);
impl Store {
    /// Opens a migrated database. A file is kept from other processes; a server is shared.
    pub async fn open(url: &DatabaseUrl, clock: Clock, entropy: Entropy) -> Result<Self, OpenError> {
        let lock = match &url.0 {
            Place::Sqlite(path) => Some(sqlite::lock_existing(path)?),
            Place::Postgres(server) => {
                reach(url, server).await?;
                None
            }
        };
        let statements = Arc::new(AtomicU64::new(0));
        // Boxed, as below: whoever starts a server would carry all of it.
        let connections = Box::pin(Connections::open(url, &statements, false)).await?;
        schema::check(&connections.pool, url.is_shared()).await?;
        let inner = Inner {
            url: url.clone(),
            connections: RwLock::new(connections),
            renewed: Mutex::default(),
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
            beside: url.file().map(Beside::of),
            _lock: lock,
        };
        let store = Self { inner: Arc::new(inner) };
        let begun = store.begin_history().await?;
        store.compare_heads(begun).await?;
        Ok(store)
    }

    /// Makes the file if there is none, and applies the migrations that the database lacks.
    /// Answers how many there were. Of several that do this at once one does it.
    pub async fn migrate(url: &DatabaseUrl) -> Result<usize, OpenError> {
        match &url.0 {
            Place::Sqlite(path) => {
                let _lock = sqlite::make(path).await?;
                Box::pin(schema::migrate(sqlite::connect(path, 1, &Arc::default()).await?)).await
            }
            Place::Postgres(server) => {
                reach(url, server).await?;
                let database = postgres::connect_one(server).await?;
                postgres::lock_migrations(&database).await?;
                Box::pin(schema::migrate(database)).await
            }
        }
    }

    /// Whether other processes may serve from the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.url.is_shared()
    }

    pub(super) fn is_networked(&self) -> bool {
        match &self.inner.url.0 {
            Place::Sqlite(path) => sqlite::is_networked(path),
            Place::Postgres(_) => false,
        }
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

    /// Between two syncs, for whoever has the turn.
    pub(super) fn sync_connection(&self) -> DatabaseConnection {
        self.connections().sync
    }

    /// For a look that is no call's.
    pub(super) fn looks(&self) -> DatabaseConnection {
        self.connections().looks
    }

    /// Begins a transaction that sees one moment and writes nothing.
    pub(super) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        self.connections().pool.begin().await
    }
}

/// One connection that writes nothing, for a look.
pub(super) async fn look_at_postgres(
    url: &DatabaseUrl,
    server: &SecretString,
) -> Result<DatabaseConnection, OpenError> {
    reach(url, server).await?;
    Ok(postgres::Pool { url: server, lazy: false }.reading(1, &Arc::default()).await?)
}

async fn reach(url: &DatabaseUrl, server: &SecretString) -> Result<(), OpenError> {
    postgres::reach(server).await.map_err(|error| OpenError::Unreached { url: url.clone(), error })
}
