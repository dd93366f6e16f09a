//! The protocol keeps what it promises, in every state that it can come to.

use crate::{
    budget::{self, Budget},
    check::holds,
    durable::{self, Durable},
    edge::{self, Edge},
    incarnation::{self, Incarnation},
    join::{self, Join},
    lease::{self, Faults, Lease},
    nonce::{self, Nonce},
};

#[test]
fn lease_with_a_member_that_may_fail_in_every_way() {
    holds(Lease { variant: lease::Variant::Right, leases: [3], faults: Faults::All });
}

#[test]
fn lease_with_two_members_of_different_leases() {
    holds(Lease { variant: lease::Variant::Right, leases: [1, 2], faults: Faults::Fewer });
}

#[test]
fn join() {
    holds(Join(join::Variant::Right));
}

#[test]
fn edge() {
    holds(Edge(edge::Variant::Right));
}

#[test]
fn incarnation() {
    for (promotions, restores) in [(2, 0), (0, 1)] {
        holds(Incarnation { variant: incarnation::Variant::Right, promotions, restores });
    }
}

/// One cancelled wait is a fault; two are what it would take to be told that a sync was safe when
/// it was not, and still the third is missing that would say so of the one after it.
#[test]
fn durable_with_cancelled_waits() {
    for cancels in 0..=2 {
        holds(Durable { variant: durable::Variant::Right, cancels, list_changes: 0 });
    }
}

#[test]
fn durable_with_a_list_of_standbys_that_is_emptied_and_filled() {
    for (cancels, list_changes) in [(0, 4), (1, 3)] {
        holds(Durable { variant: durable::Variant::Right, cancels, list_changes });
    }
}

#[test]
fn budget() {
    for (chunk, relimited) in [(1, false), (2, false), (2, true)] {
        holds(Budget { variant: budget::Variant::Right, chunk, relimited });
    }
}

#[test]
fn nonce() {
    holds(Nonce(nonce::Variant::Right));
}
