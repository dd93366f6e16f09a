//! What a database server says of itself: which run of it this is, what its clock shows, and whether
//! what it has acknowledged can be lost.

use std::fmt;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TryGetable};

use super::{Error, Store};
use crate::domain::time::Timestamp;

/// One look at it.
#[derive(Debug, Clone)]
pub(super) struct ServerLook {
    pub(super) time: Timestamp,
    /// Another one after each start, and after each failover. Empty where the engine is a part of
    /// this process.
    pub(super) incarnation: String,
    pub(super) weakness: Option<Weakness>,
    pub(super) standbys: Standbys,
}

/// Why an acknowledged commit could be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    #[error("fsync is off: a crash of its machine loses commits; set fsync = on")]
    NoFsync,
    #[error("synchronous_commit is {0}: commits are acknowledged before they are safe; let it be on")]
    AsynchronousCommit(SynchronousCommit),
    #[error(
        "standbys stream from it, and synchronous_standby_names is empty: a failover loses acknowledged revocations; \
         set synchronous_standby_names"
    )]
    AsynchronousStandby,
}

/// A level of `synchronous_commit` that is too weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynchronousCommit {
    Off,
    Local,
    RemoteWrite,
    Unknown,
}

/// Who follows the server, and whether commits wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standbys {
    pub streaming: u32,
    pub synchronous: bool,
}

impl Standbys {
    /// Whether one of them alone can stop every commit.
    #[must_use]
    pub fn hang_on_one(self) -> bool {
        self.synchronous && self.streaming < 2
    }
}

/// A base backup and an archiver stream too, and are no standbys; nor is who follows by a logical slot.
const LOOK: &str = "
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros,
       (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text
           || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS incarnation,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') <> '' AS synchronous,
       (SELECT count(*) FROM pg_stat_replication AS sender
        WHERE coalesce(sender.application_name, '') NOT IN ('pg_basebackup', 'pg_receivewal')
          AND NOT EXISTS (SELECT 1 FROM pg_replication_slots AS slot
                          WHERE slot.active_pid = sender.pid AND slot.slot_type = 'logical')) AS streaming";

impl Store {
    /// Asks within a transaction, so that the answer is of the server which commits it.
    pub(super) async fn look_at_server(&self, db: &impl ConnectionTrait) -> Result<ServerLook, Error> {
        if db.get_database_backend() != DbBackend::Postgres {
            let time = self.time(db).await?;
            return Ok(ServerLook { time, incarnation: String::new(), weakness: None, standbys: Standbys::default() });
        }
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, LOOK)).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("the server says nothing of itself".to_owned()))?;
        fn read<T: TryGetable>(row: &sea_orm::QueryResult, name: &str) -> Result<T, Error> {
            Ok(T::try_get_by(row, name).map_err(DbErr::from)?)
        }
        let standbys = Standbys {
            streaming: u32::try_from(read::<i64>(row, "streaming")?).unwrap_or(u32::MAX),
            synchronous: read(row, "synchronous")?,
        };
        let weakness = if read::<String>(row, "fsync")? != "on" {
            Some(Weakness::NoFsync)
        } else if let Some(weak) = weak_commit(&read::<String>(row, "synchronous_commit")?) {
            Some(Weakness::AsynchronousCommit(weak))
        } else if standbys.streaming > 0 && !standbys.synchronous {
            Some(Weakness::AsynchronousStandby)
        } else {
            None
        };
        let time = self.not_before(Timestamp::from_micros(read(row, "micros")?));
        Ok(ServerLook { time, incarnation: read(row, "incarnation")?, weakness, standbys })
    }
}

fn weak_commit(level: &str) -> Option<SynchronousCommit> {
    match level {
        "on" | "remote_apply" => None,
        "off" => Some(SynchronousCommit::Off),
        "local" => Some(SynchronousCommit::Local),
        "remote_write" => Some(SynchronousCommit::RemoteWrite),
        _ => Some(SynchronousCommit::Unknown),
    }
}

impl fmt::Display for SynchronousCommit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::RemoteWrite => "remote_write",
            Self::Unknown => "of a kind that this program does not know",
        })
    }
}
