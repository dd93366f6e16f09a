//! Whoever revokes: it measures for how long the run has been there, and goes by its own syncs.

use super::{Asked, Call, Entry, Incarnation, LEASE, State, Variant};
use crate::check::Steps;

impl Incarnation {
    pub(super) fn writer(&self, state: &State, next: &mut Steps<'_, State>) {
        match state.writer.sync {
            Asked::None => {
                if state.call == Call::NotYet {
                    next.add("revoke", |s| {
                        s.primary.revoked = true;
                        s.call = Call::Waiting(0);
                    });
                }
                let longest = if self.is(Variant::LongestLeaseKnown) { state.longest_known() } else { LEASE };
                let outlasted = state.writer.seen.filter(|(_, age)| *age >= longest).map(|(entry, _)| entry);
                next.add("writer: send a sync", |s| s.writer.sync = Asked::With(outlasted));
            }
            Asked::With(outlasted) => next.add("writer: sync", |s| {
                s.writer.sync = Asked::None;
                self.sync(s, outlasted);
            }),
        }
    }

    fn sync(&self, state: &mut State, outlasted: Option<Entry>) {
        if !state.primary.writer {
            // Joins anew: what else is left of its row is of somebody who is gone.
            for database in [Some(&mut state.standby), state.dump.as_mut()].into_iter().flatten() {
                database.writer = false;
            }
            state.primary.writer = true;
            return self.begin_anew(state);
        }
        if state.primary.marked {
            return self.begin_anew(state);
        }
        let settled = self.settle(state, outlasted);
        let longest = if settled || self.is(Variant::LongestLeaseKnown) { state.longest_known() } else { LEASE };
        if let Call::Waiting(age) = state.call {
            let early = settled && state.primary.replica.is_none_or(|acked| acked);
            if early || age >= longest {
                state.call = Call::Ok { early: age < longest };
            }
        }
    }

    /// There is no need to, where a restore is known by the head's entry.
    fn begin_anew(&self, state: &mut State) {
        if self.is(Variant::MeasuredByRunAlone) {
            state.writer.seen = None;
        }
    }

    /// Whether nobody can have been forgotten whose lease still holds.
    fn settle(&self, state: &mut State, outlasted: Option<Entry>) -> bool {
        let read = state.primary.settled && self.is(Variant::SettledWhicheverRun);
        if !state.is_here(state.primary.entry) {
            state.enter();
        } else if self.is_same(outlasted, state.primary.entry) {
            state.primary.settled = true;
        }
        let seen = state.writer.seen.filter(|(seen, _)| self.is_same(Some(*seen), state.primary.entry));
        state.writer.seen = seen.or(state.primary.entry.map(|entry| (entry, 0)));
        match self.variant {
            Variant::EarlyExitWhileYoung => true,
            Variant::AgeByServersClock => state.primary.age >= LEASE,
            _ => read || state.primary.settled,
        }
    }

    fn is_same(&self, one: Option<Entry>, other: Option<Entry>) -> bool {
        let (Some(one), Some(other)) = (one, other) else { return false };
        match self.variant {
            Variant::MeasuredAcrossRuns => true,
            Variant::MeasuredByRunAlone => one.run == other.run,
            _ => one == other,
        }
    }
}
