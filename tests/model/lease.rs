//! The lease and the timer: a replica answers only for a while after a sync, and whoever
//! takes something away waits until every replica has said that it knows, or cannot answer
//! any more.
//!
//! One key and one revocation, called twice. Time is relative and never ends: every state
//! holds how long ago things were. A replica may be killed, cut off, paused and started
//! again at any step, and its clock may miss ticks of the others', as many as the margin
//! covers.

mod member;

use stateright::Property;

use crate::check::{self, Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The call returns as soon as it is committed.
    NoWait,
    /// A repeated call sees that nothing is left to do, and returns.
    FastPath,
    /// The lease runs from the arrival of the answer.
    LeaseFromReply,
    /// A sync says that it has applied what it is only about to read.
    AckBeforeApply,
    /// A member's row is taken away though its lease may hold.
    CleansLiveMember,
    /// A member that finds its row gone goes on as if it were there.
    IgnoresMissingRow,
    /// The timer ends with the lease, without a margin for clocks of different speeds.
    NoMargin,
    /// The timer takes the writer's own lease for everybody's.
    TimerOfOwnLease,
    /// So does the clean-up.
    CleansByOwnLease,
    /// There is no lease: whoever has not been told goes on.
    NotifyOnly,
    /// The lease runs on a clock that stands still while the machine sleeps.
    ClockStops,
}

/// What the members' clocks may miss within a lease: the margin of the timer.
const MARGIN: u8 = 1;
/// The lease of the replica that writes.
const WRITERS_LEASE: u8 = 1;

/// `N` replicas beside the writer, each with the length of its lease.
#[derive(Debug, Clone)]
pub(crate) struct Lease<const N: usize> {
    pub(crate) variant: Variant,
    pub(crate) leases: [u8; N],
    pub(crate) faults: Faults,
}

/// What may happen besides lost messages and pauses. With two replicas it is too much for a
/// test of every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faults {
    All,
    /// Nobody is killed, clocks run at one speed, and there is one call.
    Fewer,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State<const N: usize> {
    revoked: bool,
    /// The first call, and one that finds the key revoked.
    calls: [Call; 2],
    replicas: [Replica; N],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    NotYet,
    Committed,
    /// For so long since the commit was acknowledged.
    Waiting(u8),
    Ok,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Replica {
    process: Process,
    /// Whether its index holds the revocation.
    applied: bool,
    /// What is left of its lease.
    rest: u8,
    sync: Sync,
    row: Option<Row>,
    /// The row of a process that was killed.
    left_behind: Option<Row>,
    /// Ticks that its clock has missed.
    missed: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Process {
    #[default]
    Down,
    Loaded,
    Joined,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Sync {
    #[default]
    None,
    Sent {
        age: u8,
        ack: bool,
    },
    Answered {
        age: u8,
        saw: bool,
        found_row: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    acked: bool,
    /// For how long its beat has been the same.
    silent: u8,
}

impl<const N: usize> Lease<N> {
    fn may_miss(&self, replica: &Replica) -> bool {
        self.faults == Faults::All && replica.missed < MARGIN
    }

    fn tick(&self, state: &mut State<N>, missed_by: Option<usize>) {
        let longest = self.leases.iter().max().copied().unwrap_or_default() + MARGIN;
        for call in &mut state.calls {
            if let Call::Waiting(age) = call {
                *age = (*age + 1).min(longest);
            }
        }
        for (who, replica) in state.replicas.iter_mut().enumerate() {
            let lease = self.leases[who];
            for row in [&mut replica.row, &mut replica.left_behind].into_iter().flatten() {
                row.silent = (row.silent + 1).min(lease + MARGIN);
            }
            if missed_by == Some(who) {
                replica.missed = (replica.missed + 1).min(MARGIN);
                continue;
            }
            replica.rest = replica.rest.saturating_sub(1);
            if let Sync::Sent { age, .. } | Sync::Answered { age, .. } = &mut replica.sync {
                *age = (*age + 1).min(lease);
            }
        }
    }

    fn calls(&self, state: &State<N>, next: &mut Steps<'_, State<N>>) {
        for call in 0..if self.faults == Faults::All { 2 } else { 1 } {
            match state.calls[call] {
                Call::NotYet if call == 0 => next.add("revoke and commit", |s| {
                    s.revoked = true;
                    s.calls[call] = Call::Committed;
                }),
                Call::NotYet if state.revoked && self.variant == Variant::FastPath => {
                    next.add("call again, OK by fast path", |s| s.calls[call] = Call::Ok);
                }
                Call::NotYet if state.revoked => next.add("call again", |s| s.calls[call] = Call::Committed),
                Call::NotYet | Call::Ok => {}
                Call::Committed => {
                    next.of(call, "acknowledge the commit of call", |s| s.calls[call] = Call::Waiting(0))
                }
                Call::Waiting(age) if self.may_return(state, age) => {
                    next.of(call, "OK to call", |s| s.calls[call] = Call::Ok);
                }
                Call::Waiting(_) => {}
            }
        }
    }

    /// Each member has said that it applied it, or must have stopped answering.
    fn may_return(&self, state: &State<N>, age: u8) -> bool {
        let done = |(who, replica): (usize, &Replica)| {
            let lapsed = match self.variant {
                Variant::NoMargin => age >= self.leases[who],
                Variant::TimerOfOwnLease => age >= WRITERS_LEASE + MARGIN,
                _ => age >= self.leases[who] + MARGIN,
            };
            lapsed || [replica.row, replica.left_behind].into_iter().flatten().all(|row| row.acked)
        };
        self.variant == Variant::NoWait || state.replicas.iter().enumerate().all(done)
    }

    fn answers(&self, replica: &Replica) -> bool {
        let fresh = replica.rest > 0 || self.variant == Variant::NotifyOnly;
        replica.process == Process::Joined && fresh
    }
}

impl<const N: usize> Protocol for Lease<N> {
    type State = State<N>;

    fn start(&self) -> State<N> {
        State { revoked: false, calls: [Call::NotYet; 2], replicas: [Replica::default(); N] }
    }

    fn steps(&self, state: &State<N>, next: &mut Steps<'_, State<N>>) {
        next.add("tick", |s| self.tick(s, None));
        for who in 0..N {
            if self.may_miss(&state.replicas[who]) || self.variant == Variant::ClockStops {
                next.of(who, "tick that is missed by", |s| self.tick(s, Some(who)));
            }
            self.process(state, who, next);
            self.sync(state, who, next);
            self.clean_up(state, who, next);
        }
        self.calls(state, next);
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(check::NO_VALID, |Run(model), s: &State<N>| {
                let ok = s.calls.contains(&Call::Ok);
                !(ok && s.replicas.iter().any(|replica| !replica.applied && model.answers(replica)))
            }),
            Property::sometimes("a call returns while all answer", |_, s: &State<N>| {
                s.calls[0] == Call::Ok && s.replicas.iter().all(|it| it.applied && it.rest > 0)
            }),
            Property::sometimes("a call returns though nobody knows", |_, s: &State<N>| {
                s.calls[0] == Call::Ok && s.replicas.iter().all(|it| it.row.is_some_and(|row| !row.acked))
            }),
        ]
    }
}
