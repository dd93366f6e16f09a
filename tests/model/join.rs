//! Who is a member: a replica joins and syncs in transactions whose steps others may come
//! between, and whoever has been silent for too long is taken off the list.
//!
//! The writer asks the list (a poll) whether all have applied the revocation. What is open in
//! a transaction nobody else sees, and its row is locked.

use stateright::Property;

use crate::check::{self, Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The lease is granted by the transaction that puts the row on the list.
    JoinGrantsLease,
    /// A load is taken for a sync: it grants a lease.
    LoadGrantsLease,
    /// A sync that finds its row gone puts it back, and grants a lease.
    SyncUpserts,
    /// A silent row is not counted, and stays.
    SilentRowIgnored,
    /// A silent row is taken away whether or not it has beaten since.
    CleanedWithoutBeat,
    /// A waiter goes by a poll that was sent before its commit.
    PollBegunBefore,
}

const LEASE: u8 = 3;
/// The timer, and how long is too long. Clocks agree here: `lease` is about those that do not.
const W: u8 = LEASE;

#[derive(Debug, Clone)]
pub(crate) struct Join(pub(crate) Variant);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    call: Call,
    poll: Option<Poll>,
    row: Option<Row>,
    /// The one who cleans up has seen the row silent for too long.
    doomed: bool,
    // The replica.
    applied: bool,
    rest: u8,
    registered: bool,
    sync: Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    NotYet,
    Waiting(u8),
    Ok,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Poll {
    /// Sent after the commit was acknowledged.
    after: bool,
    all_acked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    acked: bool,
    silent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sync {
    None,
    /// Has written its row, or will have.
    Open {
        age: u8,
        upsert: bool,
        saw: Option<bool>,
    },
    Committed {
        age: u8,
        saw: bool,
    },
}

impl Join {
    fn call(&self, state: &State, next: &mut Steps<'_, State>) {
        next.add("poll", |s| {
            let counts = |row: &Row| !(self.0 == Variant::SilentRowIgnored && row.silent >= W);
            let all_acked = s.row.filter(counts).is_none_or(|row| row.acked);
            s.poll = Some(Poll { after: s.call != Call::NotYet, all_acked });
        });
        match state.call {
            Call::NotYet => next.add("revoke", |s| s.call = Call::Waiting(0)),
            Call::Waiting(age) => {
                let by_poll = |poll: Poll| poll.all_acked && (poll.after || self.0 == Variant::PollBegunBefore);
                if age >= W || state.poll.is_some_and(by_poll) {
                    next.add("OK", |s| s.call = Call::Ok);
                }
            }
            Call::Ok => {}
        }
    }

    fn clean_up(&self, state: &State, next: &mut Steps<'_, State>) {
        let Some(row) = state.row else { return };
        if row.silent >= W && !state.doomed && self.0 != Variant::SilentRowIgnored {
            next.add("see it silent", |s| s.doomed = true);
        }
        let locked = matches!(state.sync, Sync::Open { .. });
        if state.doomed && !locked {
            let beaten = row.silent < W;
            next.add("clean up", |s| {
                s.doomed = false;
                if !beaten || self.0 == Variant::CleanedWithoutBeat {
                    s.row = None;
                }
            });
        }
    }

    fn replica(&self, state: &State, next: &mut Steps<'_, State>) {
        let upserts = self.0 == if state.registered { Variant::SyncUpserts } else { Variant::JoinGrantsLease };
        match state.sync {
            Sync::None if !state.registered && !upserts => next.add("register", |s| {
                s.registered = true;
                s.row = Some(Row { acked: s.applied, silent: 0 });
                s.doomed = false;
                if self.0 == Variant::LoadGrantsLease {
                    s.rest = LEASE;
                }
            }),
            Sync::None if state.row.is_some() || upserts => next.add("begin, and write the row", |s| {
                s.sync = Sync::Open { age: 0, upsert: s.row.is_none(), saw: None };
            }),
            Sync::None => next.add("find no row", |s| {
                s.registered = false;
                s.rest = 0;
            }),
            Sync::Open { age, upsert, saw } => {
                next.add("roll back", |s| s.sync = Sync::None);
                match saw {
                    None => next.add("read", |s| {
                        s.sync = Sync::Open { age, upsert, saw: Some(s.call != Call::NotYet) };
                    }),
                    Some(saw) => next.add("commit", |s| {
                        s.row = Some(Row { acked: s.applied, silent: 0 });
                        s.registered = true;
                        s.sync = Sync::Committed { age, saw };
                    }),
                }
            }
            Sync::Committed { age, saw } => {
                next.add("lose the answer", |s| s.sync = Sync::None);
                next.add("answer", |s| {
                    s.sync = Sync::None;
                    s.applied |= saw;
                    s.rest = s.rest.max(LEASE - age);
                });
            }
        }
    }
}

impl Protocol for Join {
    type State = State;

    fn start(&self) -> State {
        State {
            call: Call::NotYet,
            poll: None,
            row: None,
            doomed: false,
            applied: false,
            rest: 0,
            registered: false,
            sync: Sync::None,
        }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        next.add("tick", |s| {
            if let Call::Waiting(age) = &mut s.call {
                *age = (*age + 1).min(W);
            }
            if let Some(row) = &mut s.row {
                row.silent = (row.silent + 1).min(W);
            }
            if let Sync::Open { age, .. } | Sync::Committed { age, .. } = &mut s.sync {
                *age = (*age + 1).min(LEASE);
            }
            s.rest = s.rest.saturating_sub(1);
        });
        self.call(state, next);
        self.clean_up(state, next);
        self.replica(state, next);
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(check::NO_VALID, |_, s: &State| s.call != Call::Ok || s.applied || s.rest == 0),
            Property::sometimes("a call returns while the member answers", |_, s: &State| {
                s.call == Call::Ok && s.applied && s.rest > 0
            }),
            Property::sometimes("a call returns since the member was cleaned up", |_, s: &State| {
                s.call == Call::Ok && s.registered && s.row.is_none()
            }),
        ]
    }
}
