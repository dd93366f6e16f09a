//! What becomes of the database: a failover, a restore, and whoever syncs first after it.

use super::{Call, Database, Incarnation, LEASE, State, Sync, Variant};
use crate::check::Steps;

impl Incarnation {
    fn failover(&self, state: &State, next: &mut Steps<'_, State>) {
        if state.promotions == self.promotions {
            return;
        }
        if state.standby != state.primary {
            next.add("reach the standby", |s| s.standby = s.primary);
        }
        next.add("promote the standby", |s| {
            s.primary = s.standby;
            s.promotions += 1;
            s.sync = Sync::None;
            // What was not confirmed in its run is not confirmed.
            if !s.primary.revoked || matches!(s.call, Call::Waiting(_)) {
                s.call = Call::NotYet;
            }
        });
    }

    fn restore(&self, state: &State, next: &mut Steps<'_, State>) {
        if state.restores < self.restores {
            match state.dump {
                None => {
                    next.add("dump", |s| s.dump = Some(s.primary));
                    next.add("find a dump of before the writer joined", |s| {
                        s.dump = Some(Database { writer: false, ..Database::NEW });
                    });
                }
                Some(dump) => next.add("restore", |s| {
                    s.primary = dump;
                    s.dump = None;
                    s.restores += 1;
                    if !self.is(Variant::RestoreWithoutMark) {
                        (s.primary.marked, s.primary.entry) = (true, None);
                    }
                    if !s.primary.revoked {
                        s.call = Call::NotYet;
                    }
                }),
            }
        }
        if state.primary.marked {
            next.add("answer for what is lost", |s| s.primary.marked = false);
        }
    }

    pub(super) fn server(&self, state: &State, next: &mut Steps<'_, State>) {
        self.failover(state, next);
        self.restore(state, next);
        if !state.primary.marked && !state.is_here(state.primary.entry) {
            next.add("sync of somebody else", State::enter);
        }
        if self.is(Variant::AgeByServersClock) && state.primary.age < LEASE {
            next.add("set the server's clock", |s| s.primary.age = LEASE);
        }
    }
}
