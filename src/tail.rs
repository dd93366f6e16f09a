//! The last events in memory, and a bell. A reader is a place; the bell only says
//! *look again*. Nobody's slowness costs anybody else memory.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;

use crate::domain::{
    event::{Event, Position},
    id::Revision,
};

/// How many events are kept.
const KEPT: usize = 8192;
/// How many are handed out at once.
const BATCH: usize = 256;

/// The end of the log, as applied.
#[derive(Debug)]
pub struct Tail {
    ring: RwLock<VecDeque<Arc<Event>>>,
    head: watch::Sender<Position>,
    kept: usize,
}

/// What stands behind a place.
#[derive(Debug)]
pub enum Behind {
    /// These, none when the place is the head.
    Events(Vec<Arc<Event>>),
    /// More than memory holds; the log has them, or had.
    OutOfMemory,
}

impl Tail {
    /// Begins at what was loaded.
    #[must_use]
    pub fn new(loaded: Position) -> Self {
        Self::keeping(loaded, KEPT)
    }

    fn keeping(loaded: Position, kept: usize) -> Self {
        Self { ring: RwLock::default(), head: watch::Sender::new(loaded), kept }
    }

    /// The bell. Take it before the first look.
    #[must_use]
    pub fn bell(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    #[must_use]
    pub fn head(&self) -> Position {
        *self.head.borrow()
    }

    /// Appends an event that is applied.
    pub fn push(&self, event: Arc<Event>) {
        let position = event.position();
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == self.kept {
            ring.pop_front();
        }
        ring.push_back(event);
        drop(ring);
        self.head.send_replace(position);
    }

    /// What stands behind `revision`, a batch at most.
    #[must_use]
    pub fn after(&self, revision: Revision) -> Behind {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = ring.front() else {
            return if revision >= self.head().revision { Behind::Events(Vec::new()) } else { Behind::OutOfMemory };
        };
        let skip = revision.next().number() - first.revision.number();
        match usize::try_from(skip) {
            Ok(skip) => Behind::Events(ring.iter().skip(skip).take(BATCH).cloned().collect()),
            Err(_) => Behind::OutOfMemory,
        }
    }

    /// Whether this very event is in memory.
    #[must_use]
    pub fn holds(&self, position: Position) -> bool {
        if position == self.head() {
            return true;
        }
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let at =
            ring.front().and_then(|first| usize::try_from(position.revision.number() - first.revision.number()).ok());
        at.and_then(|at| ring.get(at)).is_some_and(|event| event.position() == position)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::time::Timestamp;

    fn event(revision: i64) -> Arc<Event> {
        Arc::new(Event {
            revision: Revision::new(revision),
            event_id: Uuid::from_u128(revision as u128),
            time: Timestamp::from_micros(0),
            changes: Vec::new(),
        })
    }

    #[test]
    fn a_reader_gets_each_event_once_or_is_told_that_memory_does_not_reach() {
        let tail = Tail::keeping(event(10).position(), 4);
        assert!(matches!(tail.after(Revision::new(10)), Behind::Events(events) if events.is_empty()));
        assert!(matches!(tail.after(Revision::new(9)), Behind::OutOfMemory));
        for revision in 11..=17 {
            tail.push(event(revision));
        }
        let numbers = |from: i64| match tail.after(Revision::new(from)) {
            Behind::Events(events) => Some(events.iter().map(|event| event.revision.number()).collect::<Vec<_>>()),
            Behind::OutOfMemory => None,
        };
        assert_eq!(numbers(13), Some(vec![14, 15, 16, 17]));
        assert_eq!(numbers(16), Some(vec![17]));
        assert_eq!(numbers(17), Some(vec![]));
        assert_eq!(numbers(12), None);
        assert!(tail.holds(event(15).position()));
        assert!(!tail.holds(event(13).position()));
        assert!(!tail.holds(Position { revision: Revision::new(15), event_id: Uuid::from_u128(99) }));
    }
}
