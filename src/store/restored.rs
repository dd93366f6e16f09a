//! A database that is an older state than one that was there, and who answers for what is lost.
//!
//! The mark stands in the log's head, so that whoever serves finds it at its next sync. While it stands no
//! lease is granted, and nothing is answered.

use std::io;

use sea_orm::{ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, QueryFilter as _, sea_query::Expr};

use uuid::Uuid;

use super::{
    Error, OpenError, Store, Tx,
    beside::{Fork, Noted},
    entity::log_head,
    log,
};
use crate::{
    domain::{id::Revision, time::Timestamp},
    guard::{self, Guard},
};

/// What is to be answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The name of its history.
    pub log_id: Uuid,
    /// When it was found.
    pub time: Timestamp,
    /// The last revision that it holds of what was.
    pub holds: Revision,
    /// The last one that is known to have been; `None`: nobody knows.
    pub lost_to: Option<Revision>,
}

impl Restored {
    /// Where the history forks that goes on with what it holds.
    #[must_use]
    pub fn fork(&self) -> Fork {
        Fork { holds: self.holds, time: self.time }
    }
}

/// A program that does not know of the mark must not serve what bears it.
const NOBODY: i64 = 1_000_000;

/// In place of a run of the server: whoever served before the restore may not stand among the members that
/// came with it, though the server may be the same run of itself.
const NO_RUN: &str = "restored";

/// Marks the head. A mark that stands already stays, and takes in what is known more.
pub(super) async fn mark(db: &impl ConnectionTrait, now: Timestamp, lost_to: Revision) -> Result<Restored, Error> {
    let head = head(db).await?;
    let first = head.restored == 0;
    let changed = log_head::Model {
        restored: if first { now.micros().max(1) } else { head.restored },
        restored_seq: if first { head.seq } else { head.restored_seq },
        lost_to: head.lost_to.max(lost_to.number()),
        serves_from: if first { head.serves_from.saturating_add(NOBODY) } else { head.serves_from },
        incarnation: match db.get_database_backend() {
            DbBackend::Postgres => NO_RUN.to_owned(),
            _ => head.incarnation,
        },
        ..head
    };
    put(db, &changed).await?;
    let unmarked = || Restored { log_id: changed.log_id, time: now, holds: Revision::new(changed.seq), lost_to: None };
    Ok(read(&changed).unwrap_or_else(unmarked))
}

async fn head(db: &impl ConnectionTrait) -> Result<log_head::Model, Error> {
    let head = log_head::Entity::find_by_id(log::HEAD).all(db).await?.pop();
    head.ok_or_else(|| Error::Corrupt("no log head".to_owned()))
}

pub(super) fn read(head: &log_head::Model) -> Option<Restored> {
    (head.restored != 0).then(|| Restored {
        log_id: head.log_id,
        time: Timestamp::from_micros(head.restored),
        holds: Revision::new(head.restored_seq),
        lost_to: (head.lost_to > 0).then(|| Revision::new(head.lost_to)),
    })
}

async fn put(db: &impl ConnectionTrait, head: &log_head::Model) -> Result<(), Error> {
    log_head::Entity::update_many()
        .col_expr(log_head::Column::Restored, Expr::value(head.restored))
        .col_expr(log_head::Column::RestoredSeq, Expr::value(head.restored_seq))
        .col_expr(log_head::Column::LostTo, Expr::value(head.lost_to))
        .col_expr(log_head::Column::ServesFrom, Expr::value(head.serves_from))
        .col_expr(log_head::Column::Incarnation, Expr::value(head.incarnation.as_str()))
        .filter(log_head::Column::Id.eq(log::HEAD))
        .exec(db)
        .await?;
    Ok(())
}

impl Tx {
    /// Takes the mark away, with this transaction: it is a revision of its own, and stands in the audit log.
    pub async fn confirm_restore(&self, remark: serde_json::Value) -> Result<(), Error> {
        let head = head(&self.inner.db).await?;
        let serves_from = head.serves_from - if head.serves_from >= NOBODY { NOBODY } else { 0 };
        put(&self.inner.db, &log_head::Model { restored: 0, restored_seq: 0, lost_to: 0, serves_from, ..head }).await?;
        let mut notes = self.notes();
        notes.remarks.push(remark);
        notes.numbered = true;
        Ok(())
    }
}

impl Store {
    /// What is to be answered for, if anything is.
    pub async fn restored(&self) -> Result<Option<Restored>, Error> {
        self.detached(async move |store| Ok(read(&head(&store.looks()).await?))).await
    }

    /// Says that this database was restored by other means than `portcullis restore`. `lost_to`, where somebody
    /// knows it, is of the history that was lost: what the database itself goes beyond cannot be.
    pub async fn mark_restored(&self, lost_to: Option<Revision>) -> Result<Restored, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            log::take_head(&tx).await?;
            let marked = mark(&tx, store.time(&tx).await?, lost_to.unwrap_or_default()).await?;
            if let Some(lost_to) = lost_to.filter(|lost_to| *lost_to < marked.holds) {
                return Err(Error::NotLost { lost_to, holds: marked.holds });
            }
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(marked)
        })
        .await
    }

    /// Lets the number beside the file begin anew at what the database holds: before the mark is taken
    /// away, so that a crash in between leaves one of them.
    pub async fn lower_head(&self) -> Result<(), Error> {
        let Some(beside) = &self.inner.beside else { return Ok(()) };
        let head = head(&self.looks()).await?;
        let noted = Noted { log_id: head.log_id, revision: Revision::new(head.seq) };
        let own = read(&head).map(|restored| restored.fork());
        let noting = beside.forks(head.log_id).and_then(|known| {
            let forks = own.map_or_else(|| known.clone(), |own| own.and(&known));
            beside.write(noted, &forks)
        });
        noting.map_err(|error| unwritten(beside.path(), &error))
    }

    /// Where its history forked, by what is noted beside the file: a backup of before cannot know.
    pub async fn forks(&self) -> Result<Vec<Fork>, Error> {
        let Some(beside) = &self.inner.beside else { return Ok(Vec::new()) };
        let log_id = head(&self.looks()).await?.log_id;
        let unread = |error| sea_orm::DbErr::Custom(format!("{} cannot be read: {error}", beside.path().display()));
        beside.forks(log_id).map_err(|error| Error::Unavailable(unread(error)))
    }

    /// Whether a file is behind the number that is kept beside it, or that is gone or another's.
    pub(super) async fn compare_heads(&self, begun: bool) -> Result<(), OpenError> {
        let Some(beside) = &self.inner.beside else { return Ok(()) };
        let head = head(&self.looks()).await?;
        let own = Noted { log_id: head.log_id, revision: Revision::new(head.seq) };
        let io = |error| OpenError::Io { path: beside.path().display().to_string(), error };
        let (why, lost_to) = match beside.read() {
            _ if begun => (None, None),
            // It was made by a version that kept none.
            Ok(None) if !head.head_beside => (None, None),
            Ok(None) => (Some("the head number that is kept beside it is gone".to_owned()), None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                (Some("the head number that is kept beside it does not read".to_owned()), None)
            }
            Err(error) => return Err(io(error)),
            Ok(Some(noted)) if noted.log_id != own.log_id => {
                (Some("the head number that is kept beside it is of another history".to_owned()), None)
            }
            Ok(Some(noted)) if noted.revision > own.revision => {
                let why = format!("it ends at revision {}, and had reached {}", own.revision, noted.revision);
                (Some(why), Some(noted.revision))
            }
            Ok(Some(_)) => (None, None),
        };
        if let Some(why) = why.filter(|_| guard::on(Guard::Beside)) {
            self.mark_restored(lost_to).await?;
            tracing::error!("the database is not the one that was there last: {why}; {}", Error::Unconfirmed);
        } else if head.restored == 0 {
            beside.forks(own.log_id).and_then(|forks| beside.write(own, &forks)).map_err(io)?;
            self.say_that_it_is_kept(head.head_beside).await?;
        }
        Ok(())
    }

    async fn say_that_it_is_kept(&self, said: bool) -> Result<(), Error> {
        if said {
            return Ok(());
        }
        let (_turn, tx) = self.begin_write().await?;
        log_head::Entity::update_many()
            .col_expr(log_head::Column::HeadBeside, Expr::value(true))
            .filter(log_head::Column::Id.eq(log::HEAD))
            .exec(&tx)
            .await?;
        tx.commit().await.map_err(Error::CommitUnknown)
    }

    /// Begins to note that the log had come so far; the answer is to be waited for before anybody is told.
    pub(super) fn note_head(&self, revision: Revision) -> impl Future<Output = Result<(), Error>> + use<> {
        let beside = self.inner.beside.as_ref();
        let noting = beside.and_then(|beside| beside.behind(revision)).map(tokio::task::spawn_blocking);
        let path = beside.map(|beside| beside.path().to_owned()).unwrap_or_default();
        async move {
            match noting {
                None => Ok(()),
                Some(noting) => match noting.await {
                    Ok(written) => written.map_err(|error| unwritten(&path, &error)),
                    Err(error) => Err(Error::TaskLost(error.to_string())),
                },
            }
        }
    }
}

fn unwritten(path: &std::path::Path, error: &io::Error) -> Error {
    Error::Unavailable(sea_orm::DbErr::Custom(format!("{} cannot be written: {error}", path.display())))
}
