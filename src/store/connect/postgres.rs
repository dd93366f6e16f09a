//! A server that several replicas share.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbErr, Statement,
    sqlx::{
        self, ConnectOptions as _, Connection as _, PgConnection, PgPool,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};
use secrecy::SecretString;

use super::{BUSY, schema::count_statements};
use crate::store::{said, url::postgres_options};

/// How to make connections for one purpose.
#[derive(Clone, Copy)]
pub(super) struct Pool<'a> {
    pub(super) url: &'a SecretString,
    /// Each is made when it is used first.
    pub(super) lazy: bool,
}

/// A connection that was idle for so long is tried before it is used: the server may have been
/// restarted meanwhile.
const TRIED_AFTER: Duration = Duration::from_secs(2);

/// What every session asks of the server, whatever it, the database or the role says.
///
/// Whoever holds a lock and falls silent, because its machine was paused or cut off, must not keep
/// the others waiting for as long as TCP does: the server ends such a session.
const SESSION: &[(&str, &str)] = &[
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("synchronous_commit", "on"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_user_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// A transaction sees one moment, and writes nothing.
const READING: &[(&str, &str)] =
    &[("default_transaction_isolation", "repeatable read"), ("default_transaction_read_only", "on")];

impl Pool<'_> {
    pub(super) async fn writing(self, size: u32, statements: &Arc<AtomicU64>) -> Result<DatabaseConnection, DbErr> {
        self.connect(size, session(self.url)?, statements).await
    }

    pub(super) async fn reading(self, size: u32, statements: &Arc<AtomicU64>) -> Result<DatabaseConnection, DbErr> {
        self.connect(size, session(self.url)?.options(READING.iter().copied()), statements).await
    }

    async fn connect(
        self,
        size: u32,
        postgres: PgConnectOptions,
        statements: &Arc<AtomicU64>,
    ) -> Result<DatabaseConnection, DbErr> {
        // The URL is in the options already, with all that it says.
        let mut options = ConnectOptions::new("postgres://");
        options
            .max_connections(size)
            .min_connections(u32::from(!self.lazy))
            .sqlx_logging(false)
            .acquire_timeout(BUSY)
            .connect_lazy(self.lazy)
            .test_before_acquire_if_idle_for(TRIED_AFTER)
            .map_sqlx_postgres_opts(move |_| postgres.clone());
        Ok(count_statements(Database::connect(options).await?, statements))
    }
}

/// Whether the server answers, lets this role in, and is the one that writes: a pool only says that it waited.
pub(super) async fn reach(url: &SecretString) -> Result<(), Unreached> {
    let options = session(url)?;
    let asked = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        let follows = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await?;
        connection.close().await?;
        if follows { Err(Unreached::Standby) } else { Ok(()) }
    };
    tokio::time::timeout(BUSY, asked).await.unwrap_or(Err(Unreached::Silent(BUSY)))
}

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    #[error(transparent)]
    Url(#[from] DbErr),
    #[error("{}", said::words(.0).unwrap_or_else(|| .0.to_string()))]
    Refused(#[from] sqlx::Error),
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("this is a standby, and read-only")]
    Standby,
}

impl Unreached {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused(error) => said::advice(error),
            Self::Standby => Some("give the primary's address"),
            Self::Url(_) | Self::Silent(_) => None,
        }
    }

    /// As it stands behind what it says.
    pub(in crate::store) fn and_advice(&self) -> String {
        self.advice().map(|advice| format!("; {advice}")).unwrap_or_default()
    }
}

/// The only connection of a pool: what it does to its session lasts until it is closed.
pub(super) async fn connect_one(url: &SecretString) -> Result<DatabaseConnection, DbErr> {
    // A migration may take its time.
    let patient = session(url)?.options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    Pool { url, lazy: false }.connect(1, patient, &Arc::default()).await
}

/// Waits for others that migrate; held until the connection is closed.
pub(super) async fn lock_migrations(database: &DatabaseConnection) -> Result<(), DbErr> {
    /// "portcull" in ASCII: a number that nobody else takes by accident.
    const KEY: i64 = 0x706f_7274_6375_6c6c;
    let sql = format!("SELECT pg_advisory_lock({KEY})");
    database.execute_raw(Statement::from_string(database.get_database_backend(), sql)).await?;
    Ok(())
}

/// A pool of the one connection on which a doorbell is heard.
pub(in crate::store) fn doorbell(url: &SecretString) -> Result<PgPool, DbErr> {
    let options = session(url)?;
    Ok(PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(BUSY)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options))
}

fn session(url: &SecretString) -> Result<PgConnectOptions, DbErr> {
    let options = postgres_options(url).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(options.application_name("portcullis").options(SESSION.iter().copied()).disable_statement_logging())
}
