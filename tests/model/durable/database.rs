//! The primary, its standby, and what goes wrong with them.

use super::{Call, Commit, Durable, Event, Session, State, waits};
use crate::check::Steps;

impl State {
    /// What a reader of the primary sees.
    pub(super) fn visible(&self) -> Vec<Event> {
        let seen = self.ahead.iter().filter(|commit| commit.visible).filter_map(|commit| commit.event);
        self.durable.iter().copied().chain(seen).collect()
    }

    pub(super) fn waiting(&self, by: impl Fn(&Commit) -> bool) -> bool {
        self.ahead.iter().any(|commit| !commit.visible && by(commit))
    }

    pub(super) fn commit(&mut self, by: Session, event: Option<Event>) {
        if self.promoted {
            self.durable.extend(event);
        } else {
            let visible = !waits(self.list);
            self.ahead.push(Commit { by, event, visible });
            self.settle();
        }
    }

    fn release(&mut self) {
        self.ahead.iter_mut().for_each(|commit| commit.visible = true);
        self.settle();
    }

    /// What nobody waits for, and holds no event, makes no difference to anybody.
    fn settle(&mut self) {
        self.ahead.retain(|commit| !commit.visible || commit.event.is_some());
    }

    /// Nobody hears any more what came of what was under way.
    fn disconnect(&mut self) {
        for call in self.calls.iter_mut().chain([&mut self.other]) {
            if let Call::Committing(_) = call {
                *call = Call::Unknown;
            }
        }
        self.replica.sync = None;
    }
}

impl Durable {
    pub(super) fn database(&self, state: &State, next: &mut Steps<'_, State>) {
        if let Some(commit) = state.ahead.first() {
            next.add("reach the standby", |s| {
                s.ahead.remove(0);
                s.durable.extend(commit.event);
            });
        }
        for (place, commit) in state.ahead.iter().enumerate() {
            if !commit.visible && state.cancels < self.cancels {
                next.of(place, "cancel the wait of commit", |s| {
                    s.ahead[place].visible = true;
                    s.cancels += 1;
                    s.settle();
                });
            }
        }
        if state.promoted {
            return;
        }
        if state.list < self.list_changes {
            next.add(if waits(state.list) { "empty the list of standbys" } else { "fill the list again" }, |s| {
                s.list += 1;
                if !waits(s.list) {
                    s.release();
                }
            });
        }
        if !state.crashed {
            next.add("crash, and start again", |s| {
                s.crashed = true;
                s.release();
                s.disconnect();
            });
        }
        next.add("promote the standby", |s| {
            s.promoted = true;
            s.ahead.clear();
            s.disconnect();
        });
    }
}
