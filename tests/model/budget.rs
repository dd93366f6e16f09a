//! One budget in the database, and replicas that spend it chunk by chunk.
//!
//! Windows have a fixed length by the database's time. The row holds the window and what of
//! it is handed out; a replica spends what it got until the end of the window, as far as it
//! can tell. Time runs to a horizon here: windows have names.

use stateright::Property;

use crate::check::{Protocol, Run, Steps};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// The window is that of the replica's own time of day.
    WindowOfOwnClock,
    /// The end of the window is counted from the arrival of the answer.
    EndFromReply,
    /// A lowered limit leaves less than nothing, and that is handed out, too.
    LeastAlone,
    /// A chunk whose answer is lost is spent.
    UnknownGrantSpent,
    /// What is given back, and may have been, is given back again.
    ReturnRetried,
    /// What is given back counts for whatever window there is by now.
    ReturnToAnyWindow,
    /// What is given back may still be spent.
    ReturnBeforeDrop,
}

const WINDOW: u8 = 3;
const HORIZON: u8 = 2 * WINDOW;
const LIMIT: i8 = 2;

pub(crate) const WITHIN_LIMIT: &str = "no window of the database's time admits more than its limit";

#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) variant: Variant,
    /// How much a replica asks for.
    pub(crate) chunk: i8,
    /// Whether the limit is lowered and raised again.
    pub(crate) relimited: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    now: u8,
    row: Row,
    limit: i8,
    relimited: u8,
    /// What was admitted in this window, and whether all of it was in the one before.
    spent: i8,
    full_before: bool,
    replicas: [Replica; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    window: u8,
    granted: i8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Replica {
    chunk: i8,
    until: u8,
    window: u8,
    ask: Ask,
    back: Option<Back>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Ask {
    #[default]
    None,
    Sent {
        at: u8,
    },
    /// `from`: when it was asked for; with `EndFromReply` nobody remembers.
    Granted {
        from: Option<u8>,
        chunk: i8,
        window: u8,
        rest: u8,
    },
}

/// What is on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Back {
    chunk: i8,
    window: u8,
    again: bool,
}

impl Budget {
    /// The second replica's time of day is one ahead: only the rule that goes by it minds.
    fn own_time(now: u8, who: usize) -> u8 {
        now + u8::from(who == 1)
    }

    fn ask(&self, state: &State, who: usize, next: &mut Steps<'_, State>) {
        let replica = &state.replicas[who];
        let now = state.now;
        match replica.ask {
            Ask::None if replica.chunk == 0 => next.of(who, "ask by", |s| s.replicas[who].ask = Ask::Sent { at: now }),
            Ask::None => {}
            Ask::Sent { at } => {
                next.of(who, "grant to", |s| s.replicas[who].ask = self.grant(s, who, at));
                next.of(who, "lose what was asked by", |s| {
                    s.replicas[who].ask = Ask::None;
                    if self.variant == Variant::UnknownGrantSpent {
                        let window = now / WINDOW;
                        s.replicas[who].hold(self.chunk, window, (window + 1) * WINDOW);
                    }
                });
            }
            Ask::Granted { from, chunk, window, rest } => {
                next.of(who, "answer", |s| {
                    s.replicas[who].ask = Ask::None;
                    s.replicas[who].hold(chunk, window, from.unwrap_or(now) + rest);
                });
                next.of(who, "lose the grant to", |s| s.replicas[who].ask = Ask::None);
            }
        }
    }

    /// The update of the row: it raises the window, and never lowers it.
    fn grant(&self, state: &mut State, who: usize, at: u8) -> Ask {
        let own_clock = self.variant == Variant::WindowOfOwnClock;
        let time = if own_clock { Self::own_time(state.now, who) } else { state.now };
        let window = time / WINDOW;
        if window > state.row.window || (own_clock && window != state.row.window) {
            state.row = Row { window, granted: 0 };
        }
        let left = self.chunk.min(state.limit - state.row.granted);
        let left = if self.variant == Variant::LeastAlone { left } else { left.max(0) };
        state.row.granted += left;
        let rest = ((state.row.window + 1) * WINDOW).saturating_sub(time);
        let from = (self.variant != Variant::EndFromReply).then_some(at);
        Ask::Granted { from, chunk: left.max(0), window: state.row.window, rest }
    }

    fn spend(state: &State, who: usize, next: &mut Steps<'_, State>) {
        let replica = &state.replicas[who];
        if replica.chunk > 0 && state.now < replica.until {
            next.of(who, "admit a call by", |s| {
                let Replica { chunk, until, window, .. } = s.replicas[who];
                s.replicas[who].hold(chunk - 1, window, until);
                s.spent += 1;
            });
        }
        if replica.chunk > 0 && state.now >= replica.until {
            next.of(who, "drop the chunk of", |s| s.replicas[who].hold(0, 0, 0));
        }
        if replica.chunk > 0 || replica.ask != Ask::None {
            next.of(who, "kill", |s| s.replicas[who] = Replica { back: s.replicas[who].back, ..Replica::default() });
        }
    }

    fn give_back(&self, state: &State, who: usize, next: &mut Steps<'_, State>) {
        let replica = &state.replicas[who];
        let Some(back) = replica.back else {
            if replica.chunk > 0 && state.now < replica.until {
                next.of(who, "send back the chunk of", |s| {
                    let replica = &mut s.replicas[who];
                    replica.back = Some(Back { chunk: replica.chunk, window: replica.window, again: false });
                    if self.variant != Variant::ReturnBeforeDrop {
                        replica.hold(0, 0, 0);
                    }
                });
            }
            return;
        };
        next.of(who, "lose what was sent back by", |s| s.replicas[who].back = None);
        if back.window != state.row.window && self.variant != Variant::ReturnToAnyWindow {
            return;
        }
        let take = |s: &mut State| s.row.granted = (s.row.granted - back.chunk).max(0);
        next.of(who, "take back from", |s| {
            take(s);
            s.replicas[who].back = None;
        });
        if self.variant == Variant::ReturnRetried && !back.again {
            next.of(who, "take back, but lose the answer to", |s| {
                take(s);
                s.replicas[who].back = Some(Back { again: true, ..back });
            });
        }
    }
}

impl Replica {
    fn hold(&mut self, chunk: i8, window: u8, until: u8) {
        // What is nothing has no end: states that differ in nothing are the same.
        let (window, until) = if chunk == 0 { (0, 0) } else { (window, until) };
        (self.chunk, self.window, self.until) = (chunk, window, until);
    }
}

impl Protocol for Budget {
    type State = State;

    fn start(&self) -> State {
        State {
            now: 0,
            row: Row { window: 0, granted: 0 },
            limit: LIMIT,
            relimited: 0,
            spent: 0,
            full_before: false,
            replicas: [Replica::default(); 2],
        }
    }

    fn steps(&self, state: &State, next: &mut Steps<'_, State>) {
        if state.now < HORIZON - 1 {
            next.add("tick", |s| {
                s.now += 1;
                if s.now % WINDOW == 0 {
                    (s.full_before, s.spent) = (s.spent == LIMIT, 0);
                }
            });
        }
        if self.relimited && state.relimited < 2 {
            next.add("change the limit", |s| {
                s.relimited += 1;
                s.limit = if s.relimited == 1 { LIMIT - 1 } else { LIMIT };
            });
        }
        for who in 0..2 {
            self.ask(state, who, next);
            Self::spend(state, who, next);
            self.give_back(state, who, next);
        }
    }

    fn promises(&self) -> Vec<Property<Run<Self>>> {
        vec![
            Property::always(WITHIN_LIMIT, |_, s: &State| s.spent <= LIMIT),
            Property::sometimes("all of it is admitted, in every window", |_, s: &State| {
                s.full_before && s.spent == LIMIT
            }),
        ]
    }
}
