//! A nonce is spent once: by the database's time, read after the lock.
//!
//! One signed request that is sent twice. What is remembered of it is forgotten when it has
//! expired, so nothing that expired may be taken for new; and a transaction may have waited
//! for its turn for long.

use stateright::Property;

use crate::check::{Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The time is that of the transaction's begin, which is what `now()` says in PostgreSQL.
    TimeOfBegin,
    /// The time is that of the arrival, and is not asked again.
    TimeOfArrival,
}

/// When the request is too old, and may be forgotten.
const EXPIRES: u8 = 2;
const HORIZON: u8 = EXPIRES + 2;

pub(crate) const ACCEPTED_ONCE: &str = "a request is accepted once";

#[derive(Debug, Clone)]
pub(crate) struct Nonce(pub(crate) Variant);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    now: u8,
    remembered: bool,
    attempts: [Attempt; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Attempt {
    NotYet,
    Arrived {
        at: u8,
    },
    /// In a transaction that waits for its turn.
    Begun {
        at: u8,
    },
    Accepted,
    Refused,
}

impl Protocol for Nonce {
    type State = State;

    fn start(&self) -> State {
        State { now: 0, remembered: false, attempts: [Attempt::NotYet; 2] }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        let now = state.now;
        if now < HORIZON {
            next.add("tick", |s| s.now += 1);
        }
        if state.remembered && now >= EXPIRES {
            next.add("forget", |s| s.remembered = false);
        }
        for (who, attempt) in state.attempts.into_iter().enumerate() {
            match attempt {
                Attempt::NotYet => next.of(who, "arrival of", |s| s.attempts[who] = Attempt::Arrived { at: now }),
                Attempt::Arrived { at } => next.of(who, "begin of", |s| {
                    let at = if self.0 == Variant::TimeOfArrival { at } else { now };
                    s.attempts[who] = Attempt::Begun { at };
                }),
                Attempt::Begun { at } => next.of(who, "turn of", |s| {
                    let time = if self.0 == Variant::Right { now } else { at };
                    let fresh = time < EXPIRES && !s.remembered;
                    s.remembered |= fresh;
                    s.attempts[who] = if fresh { Attempt::Accepted } else { Attempt::Refused };
                }),
                Attempt::Accepted | Attempt::Refused => {}
            }
        }
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(ACCEPTED_ONCE, |_, s: &State| s.attempts != [Attempt::Accepted; 2]),
            Property::sometimes("it is accepted", |_, s: &State| s.attempts.contains(&Attempt::Accepted)),
            Property::sometimes("the second is late", |_, s: &State| {
                s.attempts == [Attempt::Accepted, Attempt::Refused] && !s.remembered
            }),
        ]
    }
}
