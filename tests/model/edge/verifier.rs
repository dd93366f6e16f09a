//! The one who asks, and keeps what it is allowed to.

use super::{Edge, LEASE, Process, State, Variant};
use crate::check::Steps;

/// A call of the verifier, and how long ago it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verify {
    None,
    Asked {
        age: u8,
    },
    /// With `NotedAfterLook`: VALID was seen, and nothing promised yet.
    Looked {
        age: u8,
    },
    /// The promise is noted, and the index is to be looked at.
    Noted {
        age: u8,
        ttl: u8,
    },
    Replied {
        age: u8,
        ttl: u8,
    },
}

impl Verify {
    pub(super) fn older(&mut self) {
        match self {
            Self::None => {}
            Self::Asked { age } | Self::Looked { age } | Self::Noted { age, .. } | Self::Replied { age, .. } => {
                *age = (*age + 1).min(LEASE);
            }
        }
    }
}

impl Edge {
    pub(super) fn verify(&self, state: &State, next: &mut Steps<'_, State>) {
        let ttl = if self.0 == Variant::TtlBeyondLease { LEASE } else { state.rest };
        let valid = state.process == Process::Serving && !state.applied;
        let promise = |s: &mut State| s.promised = s.promised.max(ttl);
        match state.verify {
            Verify::None => next.add("ask", |s| s.verify = Verify::Asked { age: 0 }),
            Verify::Asked { .. } if !valid || state.rest == 0 => {}
            Verify::Asked { age } if self.0 == Variant::NotedAfterLook => {
                next.add("look", |s| s.verify = Verify::Looked { age });
            }
            Verify::Asked { age } => next.add("note", |s| {
                promise(s);
                s.verify = Verify::Noted { age, ttl };
            }),
            Verify::Looked { age } => next.add("note", |s| {
                promise(s);
                s.verify = Verify::Replied { age, ttl };
            }),
            Verify::Noted { age, ttl } => next.add("look", |s| {
                s.verify = if valid { Verify::Replied { age, ttl } } else { Verify::None };
            }),
            Verify::Replied { age, ttl } => next.add("cache", |s| {
                let age = if self.0 == Variant::TtlFromReply { 0 } else { age };
                s.cached = s.cached.max(ttl.saturating_sub(age));
                s.verify = Verify::None;
            }),
        }
    }
}
