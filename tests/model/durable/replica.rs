//! The writer's own syncs: what they prove, and what is applied.

use super::{Call, Durable, Event, Replica, Session, State, Sync, Variant, revoked, waits};
use crate::check::Steps;

impl Durable {
    pub(super) fn sync(&self, state: &State, next: &mut Steps<'_, State>) {
        let log = state.visible();
        let applied = &state.replica.applied;
        match &state.replica.sync {
            // Its row is locked.
            None if state.waiting(|commit| commit.by == Session::Sync) => {}
            None if !log.starts_with(applied) => next.add("find the history gone, and load the new one", |s| {
                if revoked(&s.replica.applied) && !revoked(&log) && self.variant != Variant::ForkForgets {
                    s.commit(Session::Sync, Some(Event::Restored));
                }
                s.replica.applied = s.visible();
            }),
            None => next.add("begin a sync", |s| {
                let after = s.calls.map(|call| matches!(call, Call::Waiting { .. }));
                let page = log[applied.len()..].to_vec();
                s.replica.sync = Some(Sync { acked: applied.len(), page, after, list: s.list, sent: false });
                if self.variant == Variant::AppliedBeforeCommit {
                    s.replica.apply();
                }
            }),
            Some(sync) if !sync.sent => next.add("commit the sync", |s| {
                s.commit(Session::Sync, None);
                s.replica.sync = Some(Sync { sent: true, ..sync.clone() });
            }),
            Some(_) if state.waiting(|commit| commit.by == Session::Sync) => {}
            Some(sync) => {
                let durable = state.promoted || self.was_durable(sync.list, state.list);
                next.add("acknowledge the sync", |s| {
                    if durable {
                        s.replica.apply();
                        self.confirm(sync, s);
                    }
                    s.replica.sync = None;
                });
            }
        }
    }

    /// Whether a sync that has returned waited for the standby: changes of the list have numbers.
    fn was_durable(&self, before: u8, after: u8) -> bool {
        match self.variant {
            Variant::StandbysNotRead => true,
            Variant::StandbysReadBefore => waits(before),
            Variant::StandbysReadAfter => waits(after),
            _ => waits(before) && before == after,
        }
    }

    fn confirm(&self, sync: &Sync, state: &mut State) {
        for (call, after) in state.calls.iter_mut().zip(sync.after) {
            if let Call::Waiting { revision: (number, event), own_sync } = call {
                let is_it =
                    self.variant == Variant::ConfirmedByNumber || state.replica.applied.get(*number - 1) == Some(event);
                *own_sync |= after && sync.acked >= *number && is_it;
            }
        }
    }
}

impl Replica {
    fn apply(&mut self) {
        if let Some(sync) = &mut self.sync {
            self.applied.append(&mut sync.page);
        }
        self.refused |= revoked(&self.applied);
    }
}
