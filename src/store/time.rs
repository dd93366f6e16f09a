//! The database's time.

use std::{sync::atomic::Ordering, time::Duration};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TryGetable as _};

use super::{Error, Store, server::ServerLook};
use crate::domain::time::Timestamp;

/// Not `now()`, which is when the transaction began: behind a lock that is long ago.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";

/// How long the answer may take that says what time it is.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How often it is asked for again: a server that is so slow tells no better.
const AGAIN: usize = 2;

impl Store {
    /// The database's time, and when it was asked for: see [`Store::asked_at_once`].
    pub(super) async fn time_and_at(&self, db: &impl ConnectionTrait) -> Result<(Duration, Timestamp), Error> {
        self.asked_at_once(|| self.time(db)).await
    }

    /// As [`Store::time_and_at`], with all that the server says of itself.
    pub(super) async fn look_and_at(&self, db: &impl ConnectionTrait) -> Result<(Duration, ServerLook), Error> {
        self.asked_at_once(|| self.look_at_server(db)).await
    }

    /// An answer that says what time it is, and the clock since boot from before it was asked for: who
    /// carries it on by that clock is ahead by what the answer took, never behind; and stays so until
    /// the database has caught up. What a machine has slept through is asked again.
    async fn asked_at_once<T, Asked>(&self, ask: impl Fn() -> Asked) -> Result<(Duration, T), Error>
    where
        Asked: Future<Output = Result<T, Error>>,
    {
        let mut again = 0..AGAIN;
        loop {
            let at = self.inner.clock.boottime();
            let answer = ask().await?;
            let took = self.inner.clock.boottime().saturating_sub(at);
            if took <= AT_ONCE || again.next().is_none() {
                return Ok((at, answer));
            }
        }
    }

    /// The database's time: the server's, where there is one; the engine in the same process has
    /// this process's clock.
    pub(super) async fn time(&self, db: &impl ConnectionTrait) -> Result<Timestamp, Error> {
        Ok(self.not_before(self.present(db).await?))
    }

    /// What the database's clock shows, also where it was set back.
    pub(super) async fn present(&self, db: &impl ConnectionTrait) -> Result<Timestamp, Error> {
        if db.get_database_backend() != DbBackend::Postgres || self.inner.clock.is_manual() {
            return Ok(self.inner.clock.now());
        }
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, CLOCK)).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("the server tells no time".to_owned()))?;
        Ok(Timestamp::from_micros(i64::try_get_by(row, "micros").map_err(DbErr::from)?))
    }

    /// A clock that is set back takes the time of what is written not back with it. One that a test
    /// moves is everybody's, the server's too.
    pub(super) fn not_before(&self, told: Timestamp) -> Timestamp {
        let now = if self.inner.clock.is_manual() { self.inner.clock.now() } else { told };
        let latest = self.inner.latest_micros.fetch_max(now.micros(), Ordering::AcqRel);
        now.max(Timestamp::from_micros(latest))
    }
}
