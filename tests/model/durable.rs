//! Nothing that was confirmed is taken back by a failover: a primary, a synchronous standby
//! that follows it, and what happens to commits that the one has and the other has not.
//!
//! A commit waits until the standby has it, and nobody sees it before. Three things let it be
//! seen all the same: somebody cancels its wait (it returns as a success, with a warning that
//! drivers swallow); the primary crashes and starts again; the list of standbys is emptied.
//! Then the standby is promoted, and the next event takes the number of the one that is lost.
//!
//! Time plays no part: the timer may have run out at any moment.

mod database;
mod replica;
mod writer;

use stateright::Property;

use crate::check::{Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The timer stands in for the writer's own later sync.
    TimerForOwnSync,
    /// The revision is taken for confirmed by its number, whichever event has it by then.
    ConfirmedByNumber,
    /// A page is applied before the transaction that read it has committed.
    AppliedBeforeCommit,
    /// A call that finds the key revoked writes nothing, so that nothing of it waits.
    RetryDoesNotWrite,
    /// The list of standbys is not looked at.
    StandbysNotRead,
    /// It is, within the sync's transaction.
    StandbysReadBefore,
    /// It is, once the sync has committed.
    StandbysReadAfter,
    /// A replica whose history is gone loads the new one, and forgets what it refused.
    ForkForgets,
}

pub(crate) const CONFIRMED_STAYS: &str = "what was confirmed is not lost";
pub(crate) const REVOKED_STAYS: &str = "a replica that said REVOKED says it for ever";
pub(crate) const ONLY_WHAT_STAYS: &str = "nothing is answered by what a failover takes back";

/// The protocol, and the faults that may happen beside a crash and a promotion.
#[derive(Debug, Clone)]
pub(crate) struct Durable {
    pub(crate) variant: Variant,
    pub(crate) cancels: u8,
    pub(crate) list_changes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What the standby has.
    durable: Vec<Event>,
    /// What the primary has besides, in the order of the commits.
    ahead: Vec<Commit>,
    promoted: bool,
    crashed: bool,
    cancels: u8,
    /// Changes of the list of standbys: it is emptied, filled, emptied.
    list: u8,
    /// The first call, and one that may come when the first has got no OK.
    calls: [Call; 2],
    /// A mutation that has nothing to do with it.
    other: Call,
    replica: Replica,
}

/// The events of a log differ, whatever their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Revoked {
        by: usize,
    },
    /// Found lost, and written again by a replica that knew of it.
    Restored,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Commit {
    by: Session,
    event: Option<Event>,
    /// Whether it waits no more: others see it, and its session has its answer.
    visible: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Session {
    Call(usize),
    Other,
    Sync,
}

/// An event and its number.
type Revision = (usize, Event);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    NotYet,
    Committing(Revision),
    Waiting { revision: Revision, own_sync: bool },
    Unknown,
    Ok,
}

/// The writer as a replica: what it has applied, and the sync that it is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Replica {
    applied: Vec<Event>,
    sync: Option<Sync>,
    /// It has said REVOKED.
    refused: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sync {
    acked: usize,
    page: Vec<Event>,
    /// Which calls' commits were acknowledged before it began.
    after: [bool; 2],
    /// The list of standbys as it was read within.
    list: u8,
    /// The COMMIT is sent.
    sent: bool,
}

fn revoked(log: &[Event]) -> bool {
    log.iter().any(|event| *event != Event::Other)
}

/// Whether commits wait for the standby.
fn waits(list: u8) -> bool {
    list.is_multiple_of(2)
}

impl Protocol for Durable {
    type State = State;

    fn start(&self) -> State {
        State {
            durable: Vec::new(),
            ahead: Vec::new(),
            promoted: false,
            crashed: false,
            cancels: 0,
            list: 0,
            calls: [Call::NotYet; 2],
            other: Call::NotYet,
            replica: Replica { applied: Vec::new(), sync: None, refused: false },
        }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        self.database(state, next);
        self.calls(state, next);
        self.sync(state, next);
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(CONFIRMED_STAYS, |_, s: &State| !s.calls.contains(&Call::Ok) || revoked(&s.visible())),
            Property::always(REVOKED_STAYS, |_, s: &State| !s.replica.refused || revoked(&s.replica.applied)),
            Property::always(ONLY_WHAT_STAYS, |Run(model), s: &State| {
                model.cancels > 0 || s.durable.starts_with(&s.replica.applied)
            }),
            Property::sometimes("a call is confirmed before the failover", |_, s: &State| {
                s.calls[0] == Call::Ok && !s.promoted
            }),
            Property::sometimes("a retry is confirmed after it", |_, s: &State| {
                s.calls == [Call::Unknown, Call::Ok] && s.promoted
            }),
        ]
    }
}
