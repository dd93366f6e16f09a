//! A database may lose the list of members: a primary that does not wait for its standby is replaced
//! by it, or an older state is restored into a server that goes on running. A replica that this list
//! lacks still holds a lease.
//!
//! A revocation that is lost with it is lost, and nothing is promised of it. What is called for
//! afterwards is promised as ever.

mod server;
mod writer;

use stateright::Property;

use crate::check::{self, Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The list of members is trusted from the first moment of a new run.
    EarlyExitWhileYoung,
    /// A new run is waited for, and the timer is set, by the longest lease of those that it knows.
    LongestLeaseKnown,
    /// How old a run is, the server says, by a clock that somebody may set.
    AgeByServersClock,
    /// The head says that a run is settled, and whoever reads it does not look which.
    SettledWhicheverRun,
    /// Who measures goes on when it sees another run.
    MeasuredAcrossRuns,
    /// An older state is put into the same run, and nothing says so.
    RestoreWithoutMark,
    /// Who measures goes by the name of the run, which is the same after a restore. It begins anew when
    /// it finds the mark, or its row gone; but others may have answered for the mark before it looked,
    /// and its row may have been restored too.
    MeasuredByRunAlone,
}

/// The lease of the replica: the longest that may be.
const LEASE: u8 = 3;
/// The lease of the one that writes.
const WRITERS_LEASE: u8 = 1;

#[derive(Debug, Clone)]
pub(crate) struct Incarnation {
    pub(crate) variant: Variant,
    pub(crate) promotions: u8,
    pub(crate) restores: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    primary: Database,
    standby: Database,
    dump: Option<Database>,
    /// How often; the first of them is the run of the server.
    promotions: u8,
    restores: u8,
    call: Call,
    writer: Writer,
    // The replica.
    applied: bool,
    rest: u8,
    registered: bool,
    sync: Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Database {
    revoked: bool,
    /// Whether the writer is on the list, and what the replica has said there.
    writer: bool,
    replica: Option<bool>,
    /// What the log's head says. `None`: a restore, which nobody has served since.
    entry: Option<Entry>,
    settled: bool,
    /// Nobody has answered for the restore.
    marked: bool,
    /// Of the entry, by the server's clock.
    age: u8,
}

/// In which run the log goes on, and since when: no two have the same moment, and a restore is
/// between those of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Entry {
    run: u8,
    since: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    NotYet,
    Waiting(u8),
    Ok { early: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Writer {
    /// What it sees in the head, and for how long by its own clock.
    seen: Option<(Entry, u8)>,
    sync: Asked,
}

/// A sync of the writer's, and what it has seen for longer than any lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    None,
    With(Option<Entry>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sync {
    None,
    Sent { age: u8, ack: bool },
    Answered { age: u8, saw: bool },
}

impl Database {
    const NEW: Self = Self {
        revoked: false,
        writer: true,
        replica: None,
        entry: Some(Entry { run: 0, since: 0 }),
        settled: true,
        marked: false,
        age: LEASE,
    };
}

impl State {
    fn is_here(&self, entry: Option<Entry>) -> bool {
        entry.is_some_and(|entry| entry.run == self.promotions)
    }

    /// The history here is not the one that the replica has applied.
    fn forked(&self) -> bool {
        self.applied && !self.primary.revoked
    }

    /// Whoever syncs first in another run, or after a restore.
    fn enter(&mut self) {
        self.primary.entry = Some(Entry { run: self.promotions, since: self.restores });
        (self.primary.settled, self.primary.age) = (false, 0);
    }

    /// The longest lease of those on the list.
    fn longest_known(&self) -> u8 {
        if self.primary.replica.is_some() { LEASE } else { WRITERS_LEASE }
    }
}

impl Incarnation {
    fn is(&self, variant: Variant) -> bool {
        self.variant == variant
    }

    fn replica(state: &State, next: &mut Steps<'_, State>) {
        let lost = state.primary.replica.is_none() || state.forked();
        match state.sync {
            Sync::None if !state.registered => next.add("load, and register", |s| {
                // Under a new name: what else is left of its row is of somebody who is gone.
                for database in [Some(&mut s.standby), s.dump.as_mut()].into_iter().flatten() {
                    database.replica = None;
                }
                s.applied = s.primary.revoked;
                s.registered = true;
                s.primary.replica = Some(s.applied);
            }),
            Sync::None => next.add("send a sync", |s| s.sync = Sync::Sent { age: 0, ack: s.applied }),
            Sync::Sent { .. } if lost || state.primary.marked => {
                next.add("find no row, another history, or the mark", |s| {
                    s.registered = !lost;
                    (s.rest, s.sync) = (0, Sync::None);
                })
            }
            Sync::Sent { age, ack } => next.add("execute the sync", |s| {
                s.primary.replica = Some(ack);
                s.sync = Sync::Answered { age, saw: s.primary.revoked };
            }),
            Sync::Answered { age, saw } => next.add("answer", |s| {
                s.sync = Sync::None;
                s.applied |= saw;
                s.rest = s.rest.max(LEASE - age);
            }),
        }
    }
}

impl Protocol for Incarnation {
    type State = State;

    fn start(&self) -> State {
        State {
            primary: Database::NEW,
            standby: Database::NEW,
            dump: None,
            promotions: 0,
            restores: 0,
            call: Call::NotYet,
            writer: Writer { seen: Some((Entry { run: 0, since: 0 }, LEASE)), sync: Asked::None },
            applied: false,
            rest: 0,
            registered: false,
            sync: Sync::None,
        }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        next.add("tick", |s| {
            let one_more = |age: &mut u8| *age = (*age + 1).min(LEASE);
            if self.is(Variant::AgeByServersClock) {
                one_more(&mut s.primary.age);
                one_more(&mut s.standby.age);
            }
            if let Some((_, age)) = &mut s.writer.seen {
                one_more(age);
            }
            if let Call::Waiting(age) = &mut s.call {
                one_more(age);
            }
            if let Sync::Sent { age, .. } | Sync::Answered { age, .. } = &mut s.sync {
                one_more(age);
            }
            s.rest = s.rest.saturating_sub(1);
        });
        self.server(state, next);
        self.writer(state, next);
        Self::replica(state, next);
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(check::NO_VALID, |_, s: &State| {
                !matches!(s.call, Call::Ok { .. }) || !s.primary.revoked || s.applied || s.rest == 0
            }),
            Property::sometimes("a call returns before the timer, after all that may befall", |run, s: &State| {
                let Incarnation { promotions, restores, .. } = run.0;
                s.call == Call::Ok { early: true } && (s.promotions, s.restores) == (promotions, restores) && s.rest > 0
            }),
        ]
    }
}
