use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{Limits, Place, Watches, lag::Lag};
use crate::{
    auth::Caller,
    domain::{
        account::Scope,
        event::{Event, Position, Revocation},
        id::{ApplicationId, Revision},
        refusal::Refusal,
        time::Timestamp,
        token::{FilterPrint, ResumeToken},
    },
    index::Index,
    meters,
    replica::{Proof, Replica},
    store::{Resume, Store},
    tail::{Behind, Tail},
};

/// What a watcher is told next.
#[derive(Debug, Clone)]
pub struct Item {
    pub told: Told,
    /// Resumes behind this item.
    pub resume_token: String,
}

#[derive(Debug, Clone)]
pub enum Told {
    Revocation(Revocation),
    /// All up to `revision` has been told, as of `time`.
    Bookmark {
        revision: Revision,
        time: Timestamp,
        /// Nothing was told of what was before.
        begins: bool,
        /// Every application is told of.
        all_applications: bool,
    },
}

/// One watcher. Nothing happens in it but when it is asked for the next item.
#[derive(Debug)]
pub struct WatchStream {
    store: Store,
    index: Arc<Index>,
    tail: Arc<Tail>,
    replica: Replica,
    caller: Caller,
    applications: Vec<ApplicationId>,
    filter: FilterPrint,
    log_id: Uuid,
    limits: Limits,
    bell: watch::Receiver<Position>,
    proofs: watch::Receiver<Proof>,
    draining: watch::Receiver<bool>,
    /// All up to here has been looked at.
    looked: Position,
    /// Of what was looked at, what is still to be told, each with where to resume behind it.
    to_tell: VecDeque<(Revocation, Position)>,
    bookmark_due: Instant,
    /// It resumes nothing, and has told no bookmark yet.
    begins: bool,
    handed_over: Option<Instant>,
    ends: Instant,
    ending: Option<Ending>,
    /// The last bookmark is told.
    said_last: bool,
    lag: Lag,
    _place: Place,
}

#[derive(Debug)]
enum Ending {
    /// After a last bookmark.
    With(Option<Refusal>),
    Over,
}

impl WatchStream {
    pub(super) fn open(
        watches: &Watches,
        caller: Caller,
        applications: Vec<ApplicationId>,
        filter: FilterPrint,
        (from, begins): (Position, bool),
        bell: watch::Receiver<Position>,
        place: Place,
    ) -> Self {
        let now = Instant::now();
        let jitter = watches.limits.max_age.mul_f64(0.1 * watches.entropy.fraction());
        Self {
            store: watches.store.clone(),
            index: Arc::clone(&watches.index),
            tail: Arc::clone(&watches.tail),
            replica: watches.replica.clone(),
            caller,
            applications,
            filter,
            log_id: watches.log_id,
            limits: watches.limits,
            bell,
            proofs: watches.replica.proofs(),
            draining: watches.draining.clone(),
            looked: from,
            to_tell: VecDeque::new(),
            bookmark_due: now,
            begins,
            handed_over: None,
            ends: now + watches.limits.max_age - jitter,
            ending: None,
            said_last: false,
            lag: watches.lags.open(watches.replica.boottime()),
            _place: place,
        }
    }

    /// The next item, when there is one; `None` after the end. An error is the end too.
    pub async fn next(&mut self) -> Option<Result<Item, Refusal>> {
        if matches!(self.ending, Some(Ending::Over)) {
            return None;
        }
        let item = match self.was_read_in_time() {
            Ok(()) => self.wait_for_next().await,
            Err(refusal) => Err(refusal),
        };
        self.handed_over = Some(Instant::now());
        if item.is_err() {
            self.ending = Some(Ending::Over);
        }
        item.transpose()
    }

    /// HTTP/2 asks for the next item as soon as the last one found room. A long silence
    /// after handing one over is a client that does not read.
    fn was_read_in_time(&self) -> Result<(), Refusal> {
        match self.handed_over {
            Some(at) if at.elapsed() > self.limits.unread_for => Err(Refusal::SlowConsumer(self.limits.unread_for)),
            _ => Ok(()),
        }
    }

    async fn wait_for_next(&mut self) -> Result<Option<Item>, Refusal> {
        // What comes behind the last bookmark is for whoever resumes there.
        if self.said_last
            && let Some(Ending::With(refusal)) = self.ending.replace(Ending::Over)
        {
            return refusal.map_or(Ok(None), Err);
        }
        loop {
            self.may_tell()?;
            while let Some((revocation, position)) = self.to_tell.pop_front() {
                // Looked up by a scope that may have shrunk since.
                if self.is_wanted(revocation.application_id) {
                    meters::WATCH_TOLD.count(0);
                    return Ok(Some(self.item(Told::Revocation(revocation), position)));
                }
            }
            let caught_up = self.look().await?;
            if !self.to_tell.is_empty() {
                continue;
            }
            if caught_up {
                self.lag.caught_up(self.replica.boottime());
            }
            if self.ending.is_none() {
                self.notice_the_end();
            }
            if caught_up
                && (self.ending.is_some() || Instant::now() >= self.bookmark_due)
                && let Some(bookmark) = self.bookmark()
            {
                self.said_last = self.ending.is_some();
                return Ok(Some(bookmark));
            }
            if caught_up {
                self.rest().await?;
            }
        }
    }

    /// Before each delivery: the account, its key, its role and its scope as they are now,
    /// and the lease.
    fn may_tell(&mut self) -> Result<(), Refusal> {
        if !self.replica.is_fresh() {
            return Err(Refusal::FreshnessUnproven);
        }
        self.caller = self.caller.again(&self.index, self.replica.now())?;
        self.applications.iter().try_for_each(|application| self.caller.must_see(*application))
    }

    /// Looks at what stands behind the place. Answers whether that was all.
    async fn look(&mut self) -> Result<bool, Refusal> {
        let events = match self.tail.after(self.looked.revision) {
            Behind::Events(events) => events,
            Behind::OutOfMemory => self.look_in_the_log().await?,
        };
        let caught_up = events.is_empty();
        if !caught_up {
            // By a scope as new as the last of them: one that grew must not miss what follows.
            self.caller = self.caller.again(&self.index, self.replica.now())?;
        }
        for event in events {
            self.take(&event);
        }
        Ok(caught_up)
    }

    async fn look_in_the_log(&self) -> Result<Vec<Arc<Event>>, Refusal> {
        let page = self.store.events_after(self.looked.revision).await;
        let events = match page {
            Ok(page) => page.events,
            // The next event is not there: it was compacted away under this reader.
            Err(crate::store::Error::Forked) => {
                return Err(match self.store.resume(self.looked).await? {
                    Resume::Gone { oldest } => Refusal::ResumeTokenExpired { oldest },
                    Resume::Here | Resume::Forked => Refusal::HistoryForked,
                });
            }
            Err(error) => return Err(error.into()),
        };
        // The log may be ahead of the index; a watcher never is.
        let applied = self.index.applied();
        Ok(events.into_iter().filter(|event| event.revision <= applied).map(Arc::new).collect())
    }

    fn take(&mut self, event: &Event) {
        let mut told: Vec<_> = event
            .revocations()
            .filter(|revocation| self.is_wanted(revocation.application_id))
            .map(|revocation| (revocation, self.looked))
            .collect();
        // Resuming behind all but the last item of an event repeats the event.
        if let Some((_, position)) = told.last_mut() {
            *position = event.position();
        }
        self.to_tell.extend(told);
        self.looked = event.position();
    }

    fn is_wanted(&self, application: ApplicationId) -> bool {
        self.caller.sees(application) && (self.applications.is_empty() || self.applications.contains(&application))
    }

    fn notice_the_end(&mut self) {
        if *self.draining.borrow() {
            self.ending = Some(Ending::With(Some(Refusal::ShuttingDown)));
        } else if Instant::now() >= self.ends {
            self.ending = Some(Ending::With(None));
        }
    }

    /// A bookmark, if the last sync proves one for this place.
    fn bookmark(&mut self) -> Option<Item> {
        let proof = *self.proofs.borrow_and_update();
        if self.looked.revision < proof.complete.revision {
            return None;
        }
        self.bookmark_due = Instant::now() + self.limits.bookmark_every;
        let told = Told::Bookmark {
            revision: self.looked.revision,
            time: proof.time,
            begins: std::mem::take(&mut self.begins),
            all_applications: self.applications.is_empty() && *self.caller.scope() == Scope::All,
        };
        Some(self.item(told, self.looked))
    }

    fn item(&self, told: Told, position: Position) -> Item {
        Item { told, resume_token: ResumeToken::new(self.log_id, position, self.filter).encode() }
    }

    /// Sleeps until something may have happened: an event, the next bookmark, the drain,
    /// or the end of the lease, which rings nobody. Whoever comes back from it long after
    /// it should have woken had no room in HTTP/2: the client does not read.
    async fn rest(&mut self) -> Result<(), Refusal> {
        let wake = self.bookmark_due.min(self.ends).max(Instant::now() + Duration::from_millis(1));
        tokio::select! {
            Ok(()) = self.bell.changed() => {}
            Ok(()) = self.draining.changed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
        if wake.elapsed() > self.limits.unread_for {
            return Err(Refusal::SlowConsumer(self.limits.unread_for));
        }
        Ok(())
    }
}
