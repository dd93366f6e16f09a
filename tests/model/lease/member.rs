//! What becomes of a member: its process, its syncs, and its row.

use super::{Faults, Lease, MARGIN, Process, Replica, Row, State, Sync, Variant, WRITERS_LEASE};
use crate::check::Steps;

impl<const N: usize> Lease<N> {
    pub(super) fn process(&self, state: &State<N>, who: usize, next: &mut Steps<'_, State<N>>) {
        let replica = &state.replicas[who];
        let revoked = state.revoked;
        match replica.process {
            Process::Down => next.of(who, "load", |s| {
                s.replicas[who] = Replica { process: Process::Loaded, applied: revoked, ..s.replicas[who] };
            }),
            Process::Loaded => next.of(who, "join", |s| {
                let replica = &mut s.replicas[who];
                replica.process = Process::Joined;
                replica.row = Some(Row { acked: replica.applied, silent: 0 });
            }),
            Process::Joined => {}
        }
        if self.faults == Faults::All && replica.process != Process::Down && replica.left_behind.is_none() {
            next.of(who, "kill", |s| {
                let Replica { row, missed, .. } = s.replicas[who];
                s.replicas[who] = Replica { left_behind: row, missed, ..Replica::default() };
            });
        }
    }

    pub(super) fn sync(&self, state: &State<N>, who: usize, next: &mut Steps<'_, State<N>>) {
        let replica = &state.replicas[who];
        match replica.sync {
            Sync::None if replica.process == Process::Joined => next.of(who, "send a sync of", |s| {
                s.replicas[who].sync = Sync::Sent { age: 0, ack: s.replicas[who].applied };
            }),
            Sync::None => {}
            Sync::Sent { age, ack } => {
                next.of(who, "lose the sync of", |s| s.replicas[who].sync = Sync::None);
                let acked = if self.variant == Variant::AckBeforeApply { state.revoked } else { ack };
                let row = replica.row.map(|_| Row { acked, silent: 0 });
                let answer = Sync::Answered { age, saw: state.revoked, found_row: row.is_some() };
                next.of(who, "execute the sync of", |s| {
                    s.replicas[who].row = row;
                    s.replicas[who].sync = answer;
                });
            }
            Sync::Answered { age, saw, found_row } => {
                next.of(who, "lose the answer to", |s| s.replicas[who].sync = Sync::None);
                next.of(who, "answer", |s| self.answered(&mut s.replicas[who], self.leases[who], age, saw, found_row));
            }
        }
    }

    fn answered(&self, replica: &mut Replica, lease: u8, age: u8, saw: bool, found_row: bool) {
        replica.sync = Sync::None;
        if found_row || self.variant == Variant::IgnoresMissingRow {
            let age = if self.variant == Variant::LeaseFromReply { 0 } else { age };
            replica.applied |= saw;
            replica.rest = replica.rest.max(lease - age);
        } else {
            replica.rest = 0;
            replica.process = Process::Loaded;
        }
    }

    pub(super) fn clean_up(&self, state: &State<N>, who: usize, next: &mut Steps<'_, State<N>>) {
        let replica = &state.replicas[who];
        let enough = match self.variant {
            Variant::CleansLiveMember => 1,
            Variant::CleansByOwnLease => WRITERS_LEASE + MARGIN,
            _ => self.leases[who] + MARGIN,
        };
        let silent = |row: Option<Row>| row.is_some_and(|row| row.silent >= enough);
        if silent(replica.row) {
            next.of(who, "take away the row of", |s| s.replicas[who].row = None);
        }
        if silent(replica.left_behind) {
            next.of(who, "take away what was left behind by", |s| s.replicas[who].left_behind = None);
        }
    }
}
