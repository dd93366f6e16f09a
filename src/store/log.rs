use portcullis_migrations::SERVES_FROM;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _,
    Statement, TransactionTrait as _, TryGetable as _,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{
    Error, Store, codec,
    entity::{event_log, log_head, replica},
    listen::CHANNEL,
    server::{INCARNATION, Incarnation},
};
use crate::domain::{
    event::{self, Event, Position},
    id::Revision,
    time::Timestamp,
};

/// Events in order, and whether there may be more.
#[derive(Debug)]
pub struct LogPage {
    pub events: Vec<Event>,
    pub more: bool,
}

/// Where a reader that was away stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Its place is in the log.
    Here,
    /// Its place was compacted away; the log starts here.
    Gone { oldest: Revision },
    /// Another event stands at its place, or none yet.
    Forked,
}

/// Events that are read at once, at most.
pub const PAGE: u64 = 512;
/// Of these at one look: each may be an import, with a thousand keys and a megabyte.
const AT_ONCE: u64 = 16;
/// Where a page ends, however few its events are.
const CHANGES: usize = 4096;
pub(super) const HEAD: i16 = 1;

/// Writes the head without moving it. The row's lock is held to the end of the transaction: what
/// was read behind it cannot change before the commit, and the order of numbers is the order of
/// commits, without gaps, on every engine. An answer that changes nothing is as durable, and as
/// ordered, as one that does.
pub(super) async fn take_head(db: &impl ConnectionTrait) -> Result<Head, Error> {
    const TAKE: &str = "UPDATE log_head SET seq = seq WHERE id = 1 RETURNING seq";
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(Head { revision: bump(db, TAKE).await?, incarnation: Incarnation::default() });
    }
    let row = head_row(db, &format!("{TAKE}, {INCARNATION}")).await?;
    Ok(Head { revision: revision(&row)?, incarnation: Incarnation::read(&row)? })
}

/// The log's head, as whoever took it found it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) revision: Revision,
    /// The run of the server that this transaction is in.
    pub(super) incarnation: Incarnation,
}

/// Gives the next revision to whoever has taken the head,
/// and rings, at the commit, for the other replicas.
pub(super) async fn next_revision(db: &impl ConnectionTrait) -> Result<Revision, Error> {
    const NEXT: &str = "UPDATE log_head SET seq = seq + 1 WHERE id = 1 RETURNING seq";
    match db.get_database_backend() {
        DbBackend::Postgres => bump(db, &format!("{NEXT}, pg_notify('{CHANNEL}', '')")).await,
        _ => bump(db, NEXT).await,
    }
}

/// Whether every replica reads events of this version. From then on they may stand in the log, and
/// no program that does not read them joins.
pub(super) async fn admit(db: &impl ConnectionTrait, version: i64) -> Result<bool, Error> {
    let older = replica::Entity::find().filter(replica::Column::Reads.lt(version));
    if older.count(db).await? > 0 {
        return Ok(false);
    }
    log_head::Entity::update_many()
        .col_expr(log_head::Column::Version, Expr::value(version))
        .filter(log_head::Column::Id.eq(HEAD))
        .filter(log_head::Column::Version.lt(version))
        .exec(db)
        .await?;
    Ok(true)
}

async fn bump(db: &impl ConnectionTrait, sql: &str) -> Result<Revision, Error> {
    revision(&head_row(db, sql).await?)
}

async fn head_row(db: &impl ConnectionTrait, sql: &str) -> Result<QueryResult, Error> {
    let mut rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.pop().ok_or_else(|| Error::Corrupt("no log head".to_owned()))
}

fn revision(row: &QueryResult) -> Result<Revision, Error> {
    Ok(Revision::new(i64::try_get_by(row, "seq").map_err(DbErr::from)?))
}

pub(super) async fn append(db: &impl ConnectionTrait, row: event_log::Model) -> Result<(), Error> {
    event_log::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    Ok(())
}

/// The name of the history and its last place.
pub(super) async fn head(db: &impl ConnectionTrait) -> Result<(Uuid, Position), Error> {
    let head = log_head::Entity::find_by_id(HEAD).all(db).await?.pop();
    let head = head.ok_or_else(|| Error::Corrupt("no log head".to_owned()))?;
    let last = event_log::Entity::find_by_id(head.seq).all(db).await?.pop();
    let last = last.ok_or_else(|| Error::Corrupt(format!("no event {}", head.seq)))?;
    Ok((head.log_id, Position { revision: Revision::new(head.seq), event_id: last.event_id }))
}

pub(super) async fn after(db: &impl ConnectionTrait, revision: Revision, page: u64) -> Result<LogPage, Error> {
    let (mut events, mut changes, mut last) = (Vec::new(), 0, revision);
    let more = loop {
        let size = AT_ONCE.min(page - events.len() as u64);
        let query = event_log::Entity::find().filter(event_log::Column::Seq.gt(last.number()));
        let rows = query.order_by_asc(event_log::Column::Seq).limit(size).all(db).await?;
        let is_last = (rows.len() as u64) < size;
        for row in rows {
            let event = read(row)?;
            (changes, last) = (changes + event.changes.len(), event.revision);
            events.push(event);
        }
        if is_last {
            break false;
        } else if events.len() as u64 >= page || changes >= CHANGES {
            break true;
        }
    };
    let expected = std::iter::successors(Some(revision.next()), |revision| Some(revision.next()));
    if events.iter().zip(expected).any(|(event, expected)| event.revision != expected) {
        return Err(Error::Forked);
    }
    Ok(LogPage { events, more })
}

/// Refuses an event that a replica of an older version would stop at.
pub(super) async fn must_be_read(db: &impl ConnectionTrait, changes: &[codec::ChangeRow]) -> Result<(), Error> {
    for change in changes {
        let version = change.version()?;
        if version > event::FIRST && !admit(db, version).await? {
            return Err(Error::OlderReplica { version });
        }
    }
    Ok(())
}

/// Whether a place is in this history.
pub(super) async fn place_of(db: &impl ConnectionTrait, position: Position) -> Result<Resume, Error> {
    let row = event_log::Entity::find_by_id(position.revision.number()).all(db).await?.pop();
    if let Some(row) = row {
        return Ok(if row.event_id == position.event_id { Resume::Here } else { Resume::Forked });
    }
    let first = event_log::Entity::find().order_by_asc(event_log::Column::Seq).limit(1).all(db).await?.pop();
    let first = first.ok_or_else(|| Error::Corrupt("an empty log".to_owned()))?;
    let gone = first.seq > position.revision.number();
    Ok(if gone { Resume::Gone { oldest: Revision::new(first.seq) } } else { Resume::Forked })
}

fn read(row: event_log::Model) -> Result<Event, Error> {
    let changes: Vec<codec::ChangeRow> = serde_json::from_value(row.changes)
        .map_err(|error| Error::UnknownEvent { seq: row.seq, what: error.to_string() })?;
    Ok(Event {
        revision: Revision::new(row.seq),
        event_id: row.event_id,
        time: Timestamp::from_micros(row.time),
        changes: changes.into_iter().map(codec::ChangeRow::read).collect::<Result<Vec<_>, _>>()?.concat(),
    })
}

impl Store {
    /// Begins a history where there is none: a name for it, and an event 0 to stand on. Answers
    /// whether it did.
    pub(super) async fn begin_history(&self) -> Result<bool, super::OpenError> {
        let (_turn, tx) = self.begin_write().await?;
        let now = self.time(&tx).await?;
        let log_id = self.inner.entropy.uuid(now)?;
        let head = log_head::Model {
            id: HEAD,
            log_id,
            seq: 0,
            incarnation: String::new(),
            since: 0,
            version: event::FIRST,
            serves_from: SERVES_FROM,
            restored: 0,
            restored_seq: 0,
            lost_to: 0,
            head_beside: false,
        };
        // Of several replicas that begin at once, one does.
        let there = OnConflict::column(log_head::Column::Id).do_nothing().to_owned();
        let insert = log_head::Entity::insert(head.into_active_model().reset_all()).on_conflict(there);
        let begun = insert.exec_without_returning(&tx).await? == 1;
        if begun {
            let event = event_log::Model {
                seq: 0,
                event_id: self.inner.entropy.uuid(now)?,
                time: now.micros(),
                changes: serde_json::json!([]),
            };
            event_log::Entity::insert(event.into_active_model().reset_all()).exec_without_returning(&tx).await?;
        }
        tx.commit().await?;
        Ok(begun)
    }

    /// The events behind `revision`, for a reader whom memory does not reach back to.
    pub async fn events_after(&self, revision: Revision) -> Result<LogPage, Error> {
        self.detached(async move |store| {
            // In line: a watcher waits for its turn, and there are as many as there are streams.
            let _place = store.inner.reads.acquire().await.map_err(|_| Error::Overloaded)?;
            let tx = store.begin_read().await?;
            after(&tx, revision, PAGE).await
        })
        .await
    }

    /// Whether a reader may go on from `position`.
    pub async fn resume(&self, position: Position) -> Result<Resume, Error> {
        self.detached(async move |store| {
            let _place = store.inner.reads.acquire().await.map_err(|_| Error::Overloaded)?;
            let tx = store.begin_read().await?;
            place_of(&tx, position).await
        })
        .await
    }

    /// The id of the event at `revision`, where it is kept still.
    pub async fn event_at(&self, revision: Revision) -> Result<Option<Uuid>, Error> {
        self.detached(async move |store| {
            let row = event_log::Entity::find_by_id(revision.number()).all(&store.looks()).await?.pop();
            Ok(row.map(|row| row.event_id))
        })
        .await
    }

    /// Deletes events from before `before`: never one that a replica has yet to apply, never
    /// the last, and none behind one that stays: a clock that was set back must not make a
    /// hole. Answers how many there were.
    pub async fn compact(&self, before: Timestamp) -> Result<u64, Error> {
        let keep_from = self
            .detached(async move |store| {
                // One moment; what comes later is behind it, and no replica goes back.
                let tx = store.looks().begin().await?;
                let (_, head) = head(&tx).await?;
                let acked = replica::Entity::find().all(&tx).await?.iter().map(|row| row.acked_seq).min();
                let recent = event_log::Entity::find().filter(event_log::Column::Time.gte(before.micros()));
                let recent = recent.select_only().column_as(event_log::Column::Seq.min(), "seq");
                let recent = recent.into_tuple::<Option<i64>>().all(&tx).await?.pop().flatten();
                tx.rollback().await?;
                let keep_from = [acked, recent].into_iter().flatten().min().unwrap_or(i64::MAX);
                Ok(keep_from.min(head.revision.number()))
            })
            .await?;
        // From the oldest on: a reader in between finds no hole.
        self.forget_in_order::<event_log::Entity>(
            event_log::Column::Seq,
            Condition::all().add(event_log::Column::Seq.lt(keep_from)),
        )
        .await
    }
}
