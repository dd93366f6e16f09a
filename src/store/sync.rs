//! One turn of the sync loop.

use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    Error, Incarnation, Standbys, Store, Weakness,
    entity::{event_log, log_head, replica},
    log,
    members::{self, Member},
    server::{self, ServerLook},
};
use crate::{
    domain::{
        event::{Event, Position},
        id::Revision,
        time::Timestamp,
    },
    guard::{self, Guard},
};

/// What a replica says of itself in a sync.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Its row.
    pub replica: Uuid,
    /// The last event that it has applied.
    pub applied: Position,
    /// The last revision that is at its edge: no verifier answers by what was before.
    pub edge: Revision,
    /// How many events it wants at most.
    pub page: u64,
    /// Whether it goes by a server only that loses nothing.
    pub strict: bool,
    /// What it has seen in the log's head for longer than any lease lasts.
    pub outlasting: Option<Entered>,
}

/// What it learns.
#[derive(Debug)]
pub struct Synced {
    /// What comes next. To be applied only now, after the COMMIT.
    pub events: Vec<Event>,
    /// Whether there may be more behind them.
    pub more: bool,
    /// The database's time within the sync.
    pub time: Timestamp,
    /// The clock since boot when it was read, or earlier.
    pub time_at: Duration,
    /// Everybody who serves, this replica among them.
    pub members: Vec<Member>,
    /// Whether this run of the server has been there for longer than any lease lasts. One that has just
    /// begun may have forgotten who serves.
    pub settled: bool,
    pub incarnation: Incarnation,
    pub entered: Entered,
    pub weakness: Option<Weakness>,
    pub standbys: Standbys,
}

/// In which run of the server the log goes on, and since when, as its head says. A restore is between two of
/// them, though the run be the same: the moment tells them apart, and is compared with nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    incarnation: Incarnation,
    since: i64,
}

impl Entered {
    #[cfg(test)]
    pub(crate) fn of(incarnation: Incarnation, since: i64) -> Self {
        Self { incarnation, since }
    }
}

/// In place of when the run began: it does not matter any more.
const SETTLED: i64 = 0;

impl Store {
    /// One turn of the sync loop, in one durable transaction: says what was applied, proves that this
    /// history still holds it, and reads what comes next. Given up after `within`.
    ///
    /// # Errors
    /// [`Error::NotRegistered`] when this replica's row is gone, [`Error::Forked`] when what it has
    /// applied is not in this history, [`Error::Behind`] when it is no more; [`Error::Weak`]; [`Error::Unconfirmed`].
    pub async fn sync(&self, turn: Turn, within: Duration) -> Result<Synced, Error> {
        self.detached_within(within, async move |store| {
            // What is said here is what mutations are acknowledged by: it is noted beside the file first,
            // while the transaction is on its way.
            let noted = store.note_head(turn.applied.revision);
            let (_turn, tx) = store.begin_sync().await?;
            if !say(&tx, turn).await? {
                return Err(why_not(&tx, turn.applied).await?);
            }
            let page = log::after(&tx, turn.applied.revision, turn.page).await?;
            let members = replica::Entity::find().all(&tx).await?;
            let (time_at, look) = store.look_and_at(&tx).await?;
            if let (true, Some(weakness)) = (turn.strict && guard::on(Guard::Durability), look.weakness) {
                return Err(Error::Weak(weakness));
            }
            let (entered, settled) = settle(&tx, &look, turn.outlasting).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            noted.await?;
            if turn.strict && look.standbys.synchronous && guard::on(Guard::Settings) {
                store.standby_has_it(&look).await?;
            }
            Ok(Synced {
                events: page.events,
                more: page.more,
                time: look.time,
                time_at,
                members: members.into_iter().map(members::read).collect(),
                settled,
                incarnation: look.incarnation,
                entered,
                weakness: look.weakness,
                standbys: look.standbys,
            })
        })
        .await
    }

    /// What the server says of itself, for whoever begins.
    pub async fn durability(&self) -> Result<(Option<Weakness>, Standbys), Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_sync().await?;
            let look = store.look_at_server(&tx).await?;
            tx.rollback().await?;
            Ok((look.weakness, look.standbys))
        })
        .await
    }

    /// Who follows the server, for whoever waits in vain for a commit.
    pub async fn standbys(&self, within: Duration) -> Result<Standbys, Error> {
        self.detached_within(within, async move |store| Ok(server::says(&store.looks()).await?.1)).await
    }
}

/// Never makes a row: whoever was taken out may be counted on by nobody, and must know it.
async fn say(tx: &DatabaseTransaction, turn: Turn) -> Result<bool, Error> {
    let applied = turn.applied.revision.number();
    let in_history = event_log::Entity::find()
        .filter(event_log::Column::Seq.eq(applied))
        .filter(event_log::Column::EventId.eq(turn.applied.event_id))
        .into_query();
    let beat = replica::Entity::update_many()
        .col_expr(replica::Column::Beat, Expr::col(replica::Column::Beat).add(1))
        .col_expr(replica::Column::AckedSeq, Expr::value(applied))
        .col_expr(replica::Column::EdgeSeq, Expr::value(turn.edge.number()))
        .filter(replica::Column::Id.eq(turn.replica))
        .filter(Expr::exists(in_history))
        .exec(tx)
        .await?;
    Ok(beat.rows_affected == 1 || !guard::on(Guard::Row))
}

/// Why a replica that has applied so much could not say so.
async fn why_not(db: &impl ConnectionTrait, applied: Position) -> Result<Error, Error> {
    Ok(match log::place_of(db, applied).await? {
        log::Resume::Here => Error::NotRegistered,
        log::Resume::Gone { .. } => Error::Behind,
        log::Resume::Forked => Error::Forked,
    })
}

/// Notes in which run of the server the log goes on, and when a replica has seen it for long enough:
/// whoever begins after that goes by it at once. Not of a history that nobody has answered for: nothing
/// rests on that.
async fn settle(
    tx: &DatabaseTransaction,
    look: &ServerLook,
    outlasting: Option<Entered>,
) -> Result<(Entered, bool), Error> {
    let head = log_head::Entity::find_by_id(log::HEAD).all(tx).await?.pop();
    let head = head.ok_or_else(|| Error::Corrupt("no log head".to_owned()))?;
    if head.restored != 0 && guard::on(Guard::Restored) {
        return Err(Error::Unconfirmed);
    }
    let incarnation = look.incarnation.to_string();
    let found = Entered { incarnation: look.incarnation, since: head.since };
    let is_same = head.incarnation == incarnation;
    let since = if is_same && head.since == SETTLED {
        return Ok((found, true));
    } else if is_same && outlasting != Some(found) {
        return Ok((found, false));
    } else if is_same || head.incarnation.is_empty() {
        // A log that names no run is new: nobody served from it before.
        SETTLED
    } else {
        look.time.micros()
    };
    // Only in place of what was read: a restore may have been marked meanwhile.
    let noted = log_head::Entity::update_many()
        .col_expr(log_head::Column::Incarnation, Expr::value(incarnation))
        .col_expr(log_head::Column::Since, Expr::value(since))
        .filter(log_head::Column::Id.eq(log::HEAD))
        .filter(log_head::Column::Incarnation.eq(head.incarnation))
        .filter(log_head::Column::Since.eq(head.since))
        .filter(log_head::Column::Restored.eq(head.restored))
        .exec(tx)
        .await?;
    Ok((Entered { since, ..found }, since == SETTLED && noted.rows_affected == 1))
}
