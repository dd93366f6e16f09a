//! A failover may lose the list of members: a primary that does not wait for its standby is
//! replaced by it, and a replica that the new one has never heard of still holds a lease.
//!
//! A revocation that a failover loses is lost, and nothing is promised of it. What is called
//! for afterwards is promised as ever.

use stateright::Property;

use crate::check::{self, Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The list of members is trusted from the first moment of a new primary.
    EarlyExitWhileYoung,
    /// A new primary is waited for, and the timer is set, by the longest lease of those it knows.
    LongestLeaseKnown,
}

/// The lease of the replica: the longest that may be.
const LEASE: u8 = 3;
/// The lease of the one that writes.
const WRITERS_LEASE: u8 = 1;

#[derive(Debug, Clone)]
pub(crate) struct Incarnation(pub(crate) Variant);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    primary: Database,
    standby: Database,
    promotions: u8,
    call: Call,
    other: bool,
    // The replica.
    applied: bool,
    rest: u8,
    registered: bool,
    sync: Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Database {
    revoked: bool,
    row: Option<bool>,
    /// Which of the primaries numbered an event last, and for how long it has been numbering.
    incarnation: u8,
    age: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    NotYet,
    Waiting(u8),
    Ok,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sync {
    None,
    Sent { age: u8, ack: bool },
    Answered { age: u8, saw: bool },
}

const PROMOTIONS: u8 = 2;

impl State {
    /// What every mutation does when it takes its number.
    fn number(&mut self) {
        if self.primary.incarnation != self.promotions {
            (self.primary.incarnation, self.primary.age) = (self.promotions, 0);
        }
    }

    /// The history here is not the one that the replica has applied.
    fn forked(&self) -> bool {
        self.applied && !self.primary.revoked
    }
}

impl Incarnation {
    fn failover(state: &State, next: &mut Steps<'_, State>) {
        if state.standby != state.primary {
            next.add("reach the standby", |s| s.standby = s.primary);
        }
        if state.promotions < PROMOTIONS {
            next.add("promote the standby", |s| {
                s.primary = s.standby;
                s.promotions += 1;
                s.sync = Sync::None;
                if !s.primary.revoked {
                    s.call = Call::NotYet;
                }
            });
        }
    }

    fn call(&self, state: &State, next: &mut Steps<'_, State>) {
        if !state.other {
            next.add("commit another thing", |s| {
                s.other = true;
                s.number();
            });
        }
        match state.call {
            Call::NotYet => next.add("revoke", |s| {
                s.number();
                s.primary.revoked = true;
                s.call = Call::Waiting(0);
            }),
            Call::Waiting(age) => {
                let known = if state.primary.row.is_some() { LEASE } else { WRITERS_LEASE };
                let is_this = state.primary.incarnation == state.promotions;
                let (settled, timer) = match self.0 {
                    Variant::EarlyExitWhileYoung => (true, LEASE),
                    Variant::LongestLeaseKnown => (is_this && state.primary.age >= known, known),
                    Variant::Right if is_this && state.primary.age >= LEASE => (true, known),
                    Variant::Right => (false, LEASE),
                };
                if age >= timer || (settled && state.primary.row.is_none_or(|acked| acked)) {
                    next.add("OK", |s| s.call = Call::Ok);
                }
            }
            Call::Ok => {}
        }
    }

    fn replica(state: &State, next: &mut Steps<'_, State>) {
        match state.sync {
            Sync::None if !state.registered => next.add("load, and register", |s| {
                s.applied = s.primary.revoked;
                s.registered = true;
                s.primary.row = Some(s.applied);
            }),
            Sync::None if state.primary.row.is_none() || state.forked() => {
                next.add("find no row, or another history", |s| {
                    s.registered = false;
                    s.rest = 0;
                })
            }
            Sync::None => next.add("send a sync", |s| s.sync = Sync::Sent { age: 0, ack: s.applied }),
            Sync::Sent { age, ack } => next.add("execute the sync", |s| {
                s.primary.row = Some(ack);
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
        let database = Database { revoked: false, row: None, incarnation: 0, age: LEASE };
        State {
            primary: database,
            standby: database,
            promotions: 0,
            call: Call::NotYet,
            other: false,
            applied: false,
            rest: 0,
            registered: false,
            sync: Sync::None,
        }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        next.add("tick", |s| {
            for database in [&mut s.primary, &mut s.standby] {
                database.age = (database.age + 1).min(LEASE);
            }
            if let Call::Waiting(age) = &mut s.call {
                *age = (*age + 1).min(LEASE);
            }
            if let Sync::Sent { age, .. } | Sync::Answered { age, .. } = &mut s.sync {
                *age = (*age + 1).min(LEASE);
            }
            s.rest = s.rest.saturating_sub(1);
        });
        Self::failover(state, next);
        self.call(state, next);
        Self::replica(state, next);
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(check::NO_VALID, |_, s: &State| {
                s.call != Call::Ok || !s.primary.revoked || s.applied || s.rest == 0
            }),
            Property::sometimes("a call returns before the timer, after a failover", |_, s: &State| {
                s.call == Call::Ok && s.promotions > 0 && s.applied && s.rest > 1
            }),
        ]
    }
}
