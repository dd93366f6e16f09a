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
    /// Where its log ends.
    pub(super) written: String,
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

/// Whether the role may see who follows; else what it sees of them is empty.
const SEES: &str = "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";

const LOGICAL: &str = "EXISTS (SELECT 1 FROM pg_replication_slots AS slot
        WHERE slot.active_pid = sender.pid AND slot.slot_type = 'logical')";

const WAITED_FOR: &str = "sender.sync_state IN ('sync', 'quorum')";

/// A base backup and an archiver stream too, and are no standbys; nor is who follows by a logical slot.
/// `written` is behind all that was committed before this transaction.
fn look() -> String {
    format!(
        "
(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros,
current_setting('fsync') AS fsync,
current_setting('synchronous_commit') AS synchronous_commit,
current_setting('synchronous_standby_names') <> '' AS synchronous,
CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_current_wal_insert_lsn()::text END AS written,
{SEES} AS sees,
(SELECT count(*) FROM pg_stat_replication AS sender
 WHERE coalesce(sender.application_name, '') NOT IN ('pg_basebackup', 'pg_receivewal')
   AND coalesce(sender.state, '') <> 'backup' AND NOT {LOGICAL}) AS streaming,
(SELECT count(*) FROM pg_stat_replication AS sender
 WHERE ({WAITED_FOR} OR NOT {SEES}) AND NOT {LOGICAL}) AS waited_for,
EXISTS (SELECT 1 FROM pg_stat_replication AS sender WHERE {WAITED_FOR} AND {LOGICAL}) AS logical"
    )
}

/// What can be lost by it, and who follows it.
pub(super) async fn says(db: &impl ConnectionTrait) -> Result<(Option<Weakness>, Standbys), Error> {
    durability(&ask(db, &format!("SELECT {INCARNATION}, {SETTINGS}, {}", look())).await?)
}

fn durability(row: &QueryResult) -> Result<(Option<Weakness>, Standbys), Error> {
    let streaming = u32::try_from(read::<i64>(row, "streaming")?).unwrap_or(u32::MAX);
    let waited_for = u32::try_from(read::<i64>(row, "waited_for")?).unwrap_or(u32::MAX);
    let (synchronous, logical, sees) = (read(row, "synchronous")?, read(row, "logical")?, read(row, "sees")?);
    let standbys = Standbys { streaming, waited_for, synchronous, logical, sees };
    let fsync = read::<String>(row, "fsync")? == "on";
    Ok((Weakness::of(fsync, &read::<String>(row, "synchronous_commit")?, standbys), standbys))
}

impl Store {
    /// Asks within a transaction, so that the answer is of the server which commits it.
    pub(super) async fn look_at_server(&self, db: &impl ConnectionTrait) -> Result<ServerLook, Error> {
        if db.get_database_backend() != DbBackend::Postgres {
            let (time, standbys) = (self.time(db).await?, Standbys::default());
            let (incarnation, settings, written) = (Incarnation::default(), String::new(), String::new());
            return Ok(ServerLook { time, incarnation, settings, written, weakness: None, standbys });
        }
        let row = ask(db, &format!("SELECT {INCARNATION}, {SETTINGS}, {}", look())).await?;
        let incarnation = Incarnation::read(&row)?;
        if incarnation.timeline == 0 {
            return Err(Error::Unavailable(DbErr::Custom("it is a standby; connect to the primary".to_owned())));
        }
        let (weakness, standbys) = durability(&row)?;
        let time = self.not_before(Timestamp::from_micros(read(&row, "micros")?));
        let (settings, written) = (read(&row, "settings")?, read(&row, "written")?);
        Ok(ServerLook { time, incarnation, settings, written, weakness, standbys })
    }

    /// Asks after the COMMIT of a sync, which must have waited for a standby, and tells of it without a
    /// word if it did not: where somebody cancelled its wait, or emptied the list of standbys meanwhile.
    /// A session reads its settings between two commands, and nobody else has this connection.
    pub(super) async fn standby_has_it(&self, look: &ServerLook) -> Result<(), Error> {
        let has = format!(
            "CASE WHEN {SEES} THEN EXISTS (SELECT 1 FROM pg_stat_replication AS sender
                WHERE {WAITED_FOR} AND NOT {LOGICAL} AND sender.flush_lsn >= '{}'::pg_lsn) ELSE true END AS has",
            look.written
        );
        let row = ask(&self.sync_connection(), &format!("SELECT {SETTINGS}, {has}")).await?;
        let why = if read::<String>(&row, "settings")? != look.settings {
            "its settings were read anew while a sync was committed"
        } else if !read::<bool>(&row, "has")? {
            "a sync did not wait for a standby: somebody cancelled its wait"
        } else {
            return Ok(());
        };
        Err(Error::Unavailable(DbErr::Custom(why.to_owned())))
    }
}

impl Incarnation {
    #[cfg(test)]
    pub(crate) fn of(started: i64, timeline: i64) -> Self {
        Self { started, timeline }
    }

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
