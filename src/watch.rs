//! What watchers are told, and when their stream ends.
//!
//! A watcher is a place in the log and nothing else: what it is told is read from memory
//! behind that place, from the log behind memory, and never from a queue of its own. A
//! watcher that does not read costs its place; when it reads again it goes on, or is told
//! that it was too slow.

mod lag;
mod stream;

use std::{sync::Arc, time::Duration};

use papaya::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

pub use lag::Lags;
pub use stream::{Item, Told, WatchStream};

use crate::{
    auth::Caller,
    domain::{
        event::Position,
        id::{ApplicationId, ServiceAccountId},
        refusal::{Refusal, Violations},
        token::{FilterPrint, ResumeToken},
    },
    entropy::Entropy,
    guard::{self, Guard},
    index::Index,
    replica::Replica,
    store::{Resume, Store},
    tail::Tail,
};

/// The limits of a watch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A bookmark comes at least this often.
    pub bookmark_every: Duration,
    /// A stream that nobody reads for so long is cut off.
    pub unread_for: Duration,
    /// A stream ends at about this age; up to a tenth earlier, so that not all come back at once.
    pub max_age: Duration,
    /// How many at once in this process; half of them for one account.
    pub max_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bookmark_every: Duration::from_secs(1),
            unread_for: Duration::from_secs(10),
            max_age: Duration::from_hours(1),
            max_streams: 10_000,
        }
    }
}

/// Room for one stream, until dropped.
#[derive(Debug)]
struct Place {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Opens watches.
#[derive(Debug)]
pub struct Watches {
    store: Store,
    index: Arc<Index>,
    tail: Arc<Tail>,
    replica: Replica,
    entropy: Entropy,
    log_id: Uuid,
    limits: Limits,
    places: Arc<Semaphore>,
    /// Half of them for one account at most: whoever leaves streams unread does not lock all
    /// others out.
    of_account: HashMap<ServiceAccountId, Arc<Semaphore>>,
    draining: watch::Receiver<bool>,
    lags: Arc<Lags>,
}

/// What is to be watched.
#[derive(Debug, Clone)]
pub struct WatchRequest {
    /// Empty: all that the caller may see.
    pub applications: Vec<ApplicationId>,
    /// Empty: from now.
    pub resume_token: String,
}

impl Watches {
    #[allow(clippy::too_many_arguments, reason = "the composition root names each part once")]
    #[must_use]
    pub fn new(
        store: Store,
        index: Arc<Index>,
        tail: Arc<Tail>,
        replica: Replica,
        entropy: Entropy,
        log_id: Uuid,
        limits: Limits,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(limits.max_streams));
        let (of_account, lags) = (HashMap::new(), Arc::default());
        Self { store, index, tail, replica, entropy, log_id, limits, places, of_account, draining, lags }
    }

    /// How far behind the open ones are.
    #[must_use]
    pub fn lags(&self) -> Arc<Lags> {
        Arc::clone(&self.lags)
    }

    /// Opens a watch, from now or from where a token says.
    pub async fn open(&self, caller: &Caller, request: WatchRequest) -> Result<WatchStream, Refusal> {
        for application in &request.applications {
            caller.must_see(*application)?;
            self.index.application(*application).ok_or(Refusal::ApplicationNotFound)?;
        }
        let place = self.place(caller.account().id)?;
        // The bell before the first look, or what happens in between is slept through.
        let bell = self.tail.bell();
        let filter = FilterPrint::of(&request.applications);
        let begins = request.resume_token.is_empty();
        let from = if begins { self.tail.head() } else { self.place_of(&request.resume_token, filter).await? };
        Ok(WatchStream::open(self, caller.clone(), request.applications, filter, (from, begins), bell, place))
    }

    fn place(&self, account: ServiceAccountId) -> Result<Place, Refusal> {
        let half = || Arc::new(Semaphore::new(self.limits.max_streams.div_ceil(2)));
        let own = Arc::clone(self.of_account.pin().get_or_insert_with(account, half));
        let take = |places: Arc<Semaphore>| places.try_acquire_owned().map_err(|_| Refusal::Overloaded);
        Ok(Place { _own: take(own)?, _of_all: take(Arc::clone(&self.places))? })
    }

    async fn place_of(&self, token: &str, filter: FilterPrint) -> Result<Position, Refusal> {
        let token = ResumeToken::parse(token, filter)
            .map_err(|error| Refusal::FieldInvalid(Violations::one("resume_token", error)))?;
        if !guard::on(Guard::Resume) {
            return Ok(token.position);
        }
        if token.log_id != self.log_id {
            return Err(Refusal::HistoryForked);
        }
        if token.position.revision > self.tail.head().revision {
            // Another replica may be ahead of this one: that is not a fork yet.
            self.replica.sync_pass().await;
        }
        if self.tail.holds(token.position) {
            return Ok(token.position);
        }
        match self.store.resume(token.position).await? {
            Resume::Here => Ok(token.position),
            Resume::Gone { oldest } => Err(Refusal::ResumeTokenExpired { oldest }),
            Resume::Forked => Err(Refusal::HistoryForked),
        }
    }
}
