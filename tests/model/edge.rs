//! Verifiers that cache: a replica may hand out a VALID that is good for a while, and whoever
//! waits for everywhere waits for that, too.
//!
//! One replica, one verifier. What is promised is counted on the replica's clock from when it
//! was noted, and on the verifier's from before it asked.

mod verifier;

use stateright::Property;

use self::verifier::Verify;
use crate::check::{self, Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// A revision is at the edge as soon as it is applied.
    EdgeIsAcked,
    /// What is promised may outlive the lease.
    TtlBeyondLease,
    /// The verifier counts from the arrival of the answer.
    TtlFromReply,
    /// What is promised is noted only after the look that it rests on.
    NotedAfterLook,
    /// What was promised is looked up before the revision is applied.
    PromisesReadBeforeApply,
    /// A replica that stops takes its row away while its promises stand.
    LeavesAtOnce,
}

const LEASE: u8 = 3;
/// The timer, and after how much silence a row is taken away.
const W: u8 = LEASE;

#[derive(Debug, Clone)]
pub(crate) struct Edge(pub(crate) Variant);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    call: Call,
    row: Option<Row>,
    process: Process,
    applied: bool,
    rest: u8,
    sync: Sync,
    /// How long what it has promised stands.
    promised: u8,
    /// How long the revision still waits to be at the edge.
    awaits: u8,
    /// With `PromisesReadBeforeApply`: what was read.
    read: Option<u8>,
    verify: Verify,
    /// How long the verifier may go on answering VALID by itself.
    cached: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    NotYet,
    Waiting(u8),
    Ok,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    edge: bool,
    silent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Process {
    Serving,
    /// Answers nothing any more; its row stands.
    Stopping,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sync {
    None,
    Sent { age: u8, edge: bool },
    Answered { age: u8, saw: bool },
}

impl Edge {
    fn tick(state: &mut State) {
        if let Call::Waiting(age) = &mut state.call {
            *age = (*age + 1).min(W);
        }
        if let Some(row) = &mut state.row {
            row.silent = (row.silent + 1).min(W);
        }
        if let Sync::Sent { age, .. } | Sync::Answered { age, .. } = &mut state.sync {
            *age = (*age + 1).min(LEASE);
        }
        state.verify.older();
        let left = [&mut state.rest, &mut state.promised, &mut state.awaits, &mut state.cached];
        for left in left.into_iter().chain(&mut state.read) {
            *left = left.saturating_sub(1);
        }
    }

    fn call(state: &State, next: &mut Steps<'_, State>) {
        match state.call {
            Call::NotYet => next.add("revoke", |s| s.call = Call::Waiting(0)),
            Call::Waiting(age) if age >= W || state.row.is_none_or(|row| row.edge) => {
                next.add("OK", |s| s.call = Call::Ok);
            }
            Call::Waiting(_) | Call::Ok => {}
        }
        if state.row.is_some_and(|row| row.silent >= W) {
            next.add("clean up", |s| s.row = None);
        }
    }

    fn replica(&self, state: &State, next: &mut Steps<'_, State>) {
        match state.sync {
            _ if state.process != Process::Serving => {}
            Sync::None => next.add("send a sync", |s| {
                let edge = s.applied && (s.awaits == 0 || self.0 == Variant::EdgeIsAcked);
                s.sync = Sync::Sent { age: 0, edge };
            }),
            Sync::Sent { age, edge } => {
                next.add("lose the sync", |s| s.sync = Sync::None);
                next.add("execute the sync", |s| match &mut s.row {
                    Some(row) => {
                        *row = Row { edge, silent: 0 };
                        s.sync = Sync::Answered { age, saw: s.call != Call::NotYet };
                    }
                    // It would join again. Nothing stands that was promised by then.
                    None => {
                        s.sync = Sync::None;
                        (s.rest, s.row) = (0, Some(Row { edge: s.applied && s.awaits == 0, silent: 0 }));
                    }
                });
            }
            Sync::Answered { age, saw } => {
                next.add("lose the answer", |s| s.sync = Sync::None);
                if self.0 == Variant::PromisesReadBeforeApply && state.read.is_none() {
                    next.add("read the promises", |s| s.read = Some(s.promised));
                } else {
                    next.add("apply", |s| {
                        s.sync = Sync::None;
                        if saw && !s.applied {
                            s.applied = true;
                            s.awaits = s.read.unwrap_or(s.promised);
                        }
                        s.read = None;
                        s.rest = s.rest.max(LEASE - age);
                    });
                }
            }
        }
        self.ends(state, next);
    }

    fn ends(&self, state: &State, next: &mut Steps<'_, State>) {
        let stop = |s: &mut State, process| {
            (s.process, s.rest, s.sync, s.read) = (process, 0, Sync::None, None);
            if !matches!(s.verify, Verify::Replied { .. }) {
                s.verify = Verify::None;
            }
        };
        match state.process {
            Process::Serving => {
                next.add("stop", |s| stop(s, Process::Stopping));
                next.add("kill", |s| stop(s, Process::Gone));
            }
            Process::Stopping if state.promised == 0 || self.0 == Variant::LeavesAtOnce => next.add("leave", |s| {
                (s.process, s.row) = (Process::Gone, None);
            }),
            Process::Stopping | Process::Gone => {}
        }
    }
}

impl Protocol for Edge {
    type State = State;

    fn start(&self) -> State {
        State {
            call: Call::NotYet,
            row: Some(Row { edge: false, silent: 0 }),
            process: Process::Serving,
            applied: false,
            rest: 0,
            sync: Sync::None,
            promised: 0,
            awaits: 0,
            read: None,
            verify: Verify::None,
            cached: 0,
        }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        next.add("tick", Self::tick);
        Self::call(state, next);
        self.replica(state, next);
        self.verify(state, next);
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(check::NO_VALID, |_, s: &State| {
                s.call != Call::Ok || (s.cached == 0 && (s.applied || s.rest == 0))
            }),
            Property::sometimes("a call returns since nothing is cached any more", |_, s: &State| {
                s.call == Call::Ok && s.row.is_some_and(|row| row.edge && row.silent < W) && s.rest > 0
            }),
            Property::sometimes("a call returns after its replica has left", |_, s: &State| {
                s.call == Call::Ok && s.process == Process::Gone && s.row.is_none()
            }),
        ]
    }
}
