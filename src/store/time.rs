//! The database's time.

use std::sync::atomic::Ordering;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TryGetable as _};

use super::{Error, Store};
use crate::domain::time::Timestamp;

/// Not `now()`, which is when the transaction began: behind a lock that is long ago.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";

impl Store {
    /// The database's time: the server's, where there is one; the engine in the same process has
    /// this process's clock.
    pub(super) async fn time(&self, db: &impl ConnectionTrait) -> Result<Timestamp, Error> {
        if db.get_database_backend() != DbBackend::Postgres || self.inner.clock.is_manual() {
            return Ok(self.not_before(self.inner.clock.now()));
        }
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, CLOCK)).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("the server tells no time".to_owned()))?;
        Ok(self.not_before(Timestamp::from_micros(i64::try_get_by(row, "micros").map_err(DbErr::from)?)))
    }

    /// A clock that is set back takes the time of what is written not back with it. One that a test
    /// moves is everybody's, the server's too.
    pub(super) fn not_before(&self, told: Timestamp) -> Timestamp {
        let now = if self.inner.clock.is_manual() { self.inner.clock.now() } else { told };
        let latest = self.inner.latest_micros.fetch_max(now.micros(), Ordering::AcqRel);
        now.max(Timestamp::from_micros(latest))
    }
}
