//! Whose turn it is to write.

use std::sync::Arc;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use crate::store::Error;

/// Writers in the order of their coming. SQLite has one writer at a time, and waits for it by
/// polling, which is unfair: there everybody waits for one turn. At a server each purpose has as
/// many as it has connections, and what excludes what is for the server to say.
#[derive(Debug)]
pub(in crate::store) struct Turns {
    writer: Arc<Semaphore>,
    sync: Arc<Semaphore>,
    ledger: Arc<Semaphore>,
    upkeep: Arc<Semaphore>,
    outbox: Arc<Semaphore>,
    /// Calls wait here first, so that the sync loop is behind one of them at most.
    queue: Arc<Semaphore>,
    /// Places for calls that wait to write.
    waiting: Semaphore,
}

/// The right to write, until dropped.
#[derive(Debug)]
pub(in crate::store) struct WriteTurn<'a> {
    _turn: SemaphorePermit<'a>,
    _queue: Option<SemaphorePermit<'a>>,
    _place: Option<SemaphorePermit<'a>>,
}

/// How many calls may wait to write.
const WAITING: usize = 128;
/// How many write at once where they may. They are in line for the log's head, so few: one commits
/// while the next one waits for it, and the third is about to.
pub(super) const WRITERS: u32 = 3;

impl Turns {
    pub(super) fn one() -> Self {
        let turn = Arc::new(Semaphore::new(1));
        let the_one = || Arc::clone(&turn);
        Self {
            writer: the_one(),
            sync: the_one(),
            ledger: the_one(),
            upkeep: the_one(),
            outbox: the_one(),
            queue: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING),
        }
    }

    pub(super) fn each() -> Self {
        let turns = |many| Arc::new(Semaphore::new(many));
        Self {
            writer: turns(WRITERS as usize),
            sync: turns(1),
            ledger: turns(1),
            upkeep: turns(1),
            outbox: turns(1),
            queue: turns(WRITERS as usize + 1),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Refuses at once where as many wait as may.
    pub(super) fn write(&self) -> Result<impl Future<Output = Result<WriteTurn<'_>, Error>>, Error> {
        let place = self.waiting.try_acquire().map_err(|_| Error::Overloaded)?;
        Ok(self.in_line(&self.writer, Some(place)))
    }

    pub(super) async fn patient_write(&self) -> Result<WriteTurn<'_>, Error> {
        let place = self.waiting.acquire().await.map_err(closed)?;
        self.in_line(&self.writer, Some(place)).await
    }

    pub(super) async fn sync(&self) -> Result<WriteTurn<'_>, Error> {
        at_once(&self.sync).await
    }

    pub(super) async fn ledger(&self) -> Result<WriteTurn<'_>, Error> {
        at_once(&self.ledger).await
    }

    /// In the line of the calls, so that the sync loop is behind one of all of them at most; but
    /// never refused.
    pub(super) async fn upkeep(&self) -> Result<WriteTurn<'_>, Error> {
        self.in_line(&self.upkeep, None).await
    }

    pub(super) async fn outbox(&self) -> Result<WriteTurn<'_>, Error> {
        at_once(&self.outbox).await
    }

    async fn in_line<'a>(
        &'a self,
        turn: &'a Semaphore,
        place: Option<SemaphorePermit<'a>>,
    ) -> Result<WriteTurn<'a>, Error> {
        let queue = self.queue.acquire().await.map_err(closed)?;
        let turn = turn.acquire().await.map_err(closed)?;
        Ok(WriteTurn { _turn: turn, _queue: Some(queue), _place: place })
    }
}

async fn at_once(turn: &Semaphore) -> Result<WriteTurn<'_>, Error> {
    Ok(WriteTurn { _turn: turn.acquire().await.map_err(closed)?, _queue: None, _place: None })
}

/// Nobody closes them.
fn closed(_: AcquireError) -> Error {
    Error::Overloaded
}
