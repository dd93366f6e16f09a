//! What a database server says of itself: which run of it this is, what its clock shows, and whether
//! what it has acknowledged can be lost.

mod durability;

use std::fmt;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, TryGetable};

pub use self::durability::{Standbys, SynchronousCommit, Weakness};
use super::{Error, Store};
use crate::domain::time::Timestamp;

/// One look at it.
#[derive(Debug, Clone)]
pub(super) struct ServerLook {
    pub(super) time: Timestamp,
    pub(super) incarnation: Incarnation,
    /// Of what commits wait for, and when it was read: the same twice, and it did not change in between.
    pub(super) settings: String,
    pub(super) weakness: Option<Weakness>,
    pub(super) standbys: Standbys,
}

/// A run of the server: another one after each start, and after each failover. Within one nothing is
/// lost that was written. There is one only where the engine is a part of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Incarnation {
    /// Microseconds since the epoch.
    started: i64,
    timeline: i64,
}

/// As it stands in the log's head; empty where there is one only.
impl fmt::Display for Incarnation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() { Ok(()) } else { write!(formatter, "{}/{}", self.started, self.timeline) }
    }
}

/// What tells one incarnation from another; a standby has no timeline of its own.
pub(super) const INCARNATION: &str = "
(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started,
CASE WHEN pg_is_in_recovery() THEN 0
     ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END AS timeline";

const SETTINGS: &str = "pg_conf_load_time()::text || ' ' || current_setting('synchronous_standby_names') AS settings";

/// A base backup and an archiver stream too, and are no standbys; nor is who follows by a logical slot.
const LOOK: &str = "
(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros,
current_setting('fsync') AS fsync,
current_setting('synchronous_commit') AS synchronous_commit,
current_setting('synchronous_standby_names') <> '' AS synchronous,
(SELECT count(*) FROM pg_stat_replication AS sender
 WHERE coalesce(sender.application_name, '') NOT IN ('pg_basebackup', 'pg_receivewal')
   AND NOT EXISTS (SELECT 1 FROM pg_replication_slots AS slot
                   WHERE slot.active_pid = sender.pid AND slot.slot_type = 'logical')) AS streaming,
(SELECT count(*) FROM pg_stat_replication WHERE coalesce(sync_state, 'sync') IN ('sync', 'quorum')) AS waited_for";

impl Store {
    /// Asks within a transaction, so that the answer is of the server which commits it.
    pub(super) async fn look_at_server(&self, db: &impl ConnectionTrait) -> Result<ServerLook, Error> {
        if db.get_database_backend() != DbBackend::Postgres {
            let (time, standbys) = (self.time(db).await?, Standbys::default());
            let (incarnation, settings) = (Incarnation::default(), String::new());
            return Ok(ServerLook { time, incarnation, settings, weakness: None, standbys });
        }
        let row = ask(db, &format!("SELECT {INCARNATION}, {SETTINGS}, {LOOK}")).await?;
        let incarnation = Incarnation::read(&row)?;
        if incarnation.timeline == 0 {
            return Err(Error::Unavailable(DbErr::Custom("it is a standby; connect to the primary".to_owned())));
        }
        let streaming = u32::try_from(read::<i64>(&row, "streaming")?).unwrap_or(u32::MAX);
        let waited_for = u32::try_from(read::<i64>(&row, "waited_for")?).unwrap_or(u32::MAX);
        let standbys = Standbys { streaming, waited_for, synchronous: read(&row, "synchronous")? };
        let fsync = read::<String>(&row, "fsync")? == "on";
        let weakness = Weakness::of(fsync, &read::<String>(&row, "synchronous_commit")?, standbys);
        let time = self.not_before(Timestamp::from_micros(read(&row, "micros")?));
        Ok(ServerLook { time, incarnation, settings: read(&row, "settings")?, weakness, standbys })
    }

    /// Asks after the COMMIT of a sync: a list of standbys that was emptied while it waited for one of
    /// them has let it through, without a word. A session reads its settings between two commands,
    /// and nobody else has this connection meanwhile.
    pub(super) async fn settings_are_still(&self, before: &str) -> Result<(), Error> {
        let row = ask(&self.sync_connection(), &format!("SELECT {SETTINGS}")).await?;
        if read::<String>(&row, "settings")? == before {
            return Ok(());
        }
        Err(Error::Unavailable(DbErr::Custom("its settings were read anew while a sync was committed".to_owned())))
    }
}

impl Incarnation {
    pub(super) fn read(row: &QueryResult) -> Result<Self, Error> {
        Ok(Self { started: read(row, "started")?, timeline: read(row, "timeline")? })
    }
}

async fn ask(db: &impl ConnectionTrait, sql: &str) -> Result<QueryResult, Error> {
    let mut rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    rows.pop().ok_or_else(|| Error::Corrupt("the server says nothing of itself".to_owned()))
}

fn read<T: TryGetable>(row: &QueryResult, name: &str) -> Result<T, Error> {
    Ok(T::try_get_by(row, name).map_err(DbErr::from)?)
}
