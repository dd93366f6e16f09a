//! The calls: what they commit, and when they return OK.

use super::{Call, Durable, Event, Session, State, Variant};
use crate::check::Steps;

impl Durable {
    pub(super) fn calls(&self, state: &State, next: &mut Steps<'_, State>) {
        // The number is taken under a lock that is held until the commit is seen.
        let locked = state.waiting(|commit| commit.by != Session::Sync);
        let number = state.visible().len() + 1;
        for who in 0..2 {
            match state.calls[who] {
                Call::NotYet if locked || (who == 1 && matches!(state.calls[0], Call::NotYet | Call::Ok)) => {}
                Call::NotYet => self.mutate(state, who, next),
                Call::Committing(revision) if !state.waiting(|commit| commit.by == Session::Call(who)) => {
                    next.of(who, "acknowledge the commit of call", |s| {
                        s.calls[who] = Call::Waiting { revision, own_sync: false };
                    });
                }
                Call::Waiting { own_sync, .. } if own_sync || self.goes_by_timer(who) => {
                    next.of(who, "OK to call", |s| s.calls[who] = Call::Ok);
                }
                Call::Committing(_) | Call::Waiting { .. } | Call::Unknown | Call::Ok => {}
            }
        }
        if state.other == Call::NotYet && !locked {
            next.add("commit another thing", |s| {
                s.other = Call::Committing((number, Event::Other));
                s.commit(Session::Other, Some(Event::Other));
            });
        }
    }

    fn mutate(&self, state: &State, who: usize, next: &mut Steps<'_, State>) {
        let log = state.visible();
        match log.iter().position(|event| *event != Event::Other) {
            None => next.of(who, "revoke by call", |s| {
                let event = Event::Revoked { by: who };
                s.calls[who] = Call::Committing((log.len() + 1, event));
                s.commit(Session::Call(who), Some(event));
            }),
            Some(place) => {
                let revision = (place + 1, log[place]);
                if self.variant == Variant::RetryDoesNotWrite {
                    next.of(who, "find it revoked by call", |s| {
                        s.calls[who] = Call::Waiting { revision, own_sync: false };
                    });
                } else {
                    next.of(who, "find it revoked, and write by call", |s| {
                        s.calls[who] = Call::Committing(revision);
                        s.commit(Session::Call(who), None);
                    });
                }
            }
        }
    }

    fn goes_by_timer(&self, who: usize) -> bool {
        self.variant == Variant::TimerForOwnSync || (self.variant == Variant::RetryDoesNotWrite && who == 1)
    }
}
