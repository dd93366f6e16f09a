use std::sync::{Arc, atomic::Ordering};

use super::{Ceilings, Ticket, one_more, over};
use crate::guard::{self, Guard};

/// Of one connection: calls and streams of health and reflection, which anybody may make.
const OPEN_CALLS: usize = 16;

/// Of one connection: messages on their way, once there are half as many of all as there may be. Until then all
/// the streams that it may have at once may be on their way at once, when the messages of a burst come behind
/// their headers.
const ARRIVING: usize = 32;

/// A call, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Underway(Arc<Ticket>);

/// A message on its way, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Arriving(Arc<Ticket>);

/// A call that anybody may make, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct OpenCall(Arc<Ticket>);

impl Ticket {
    /// A place for one more call of this connection. Each of these gives back what it took where there is none.
    pub(in crate::grpc::listen) fn call(self: &Arc<Self>) -> Option<Underway> {
        let (of_all, of_address) = (one_more(&self.load.calls), one_more(&self.address.calls));
        let call = Underway(Arc::clone(self));
        let Ceilings { calls, calls_per_address, .. } = self.load.ceilings;
        let over = over(of_address, calls_per_address) || over(of_all, calls);
        (!over || !guard::on(Guard::Shed)).then_some(call)
    }

    pub(in crate::grpc::listen) fn arrive(self: &Arc<Self>) -> Option<Arriving> {
        let (of_all, of_address) = (one_more(&self.load.arriving), one_more(&self.address.arriving));
        let of_connection = one_more(&self.arriving);
        let arriving = Arriving(Arc::clone(self));
        let Ceilings { calls, calls_per_address, .. } = self.load.ceilings;
        let crowds = of_all > calls / 2 && of_connection > ARRIVING;
        let over = over(of_address, calls_per_address) || over(of_all, calls) || crowds;
        (!over).then_some(arriving)
    }

    pub(in crate::grpc::listen) fn open_call(self: &Arc<Self>) -> Option<OpenCall> {
        let of_connection = one_more(&self.open_calls);
        let call = OpenCall(Arc::clone(self));
        (!over(of_connection, OPEN_CALLS)).then_some(call)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.load.calls.fetch_sub(1, Ordering::AcqRel);
        self.0.address.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.load.arriving.fetch_sub(1, Ordering::AcqRel);
        self.0.address.arriving.fetch_sub(1, Ordering::AcqRel);
        self.0.arriving.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open_calls.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::listen::ceilings::{Load, Place};

    fn load() -> Arc<Load> {
        Load::new(Ceilings { calls: 2, calls_per_address: 1, ..Ceilings::default() })
    }

    fn connect(load: &Arc<Load>, number: u8) -> Place {
        load.connect([192, 0, 2, number].into()).expect("a connection").0
    }

    #[test]
    fn calls_are_counted_for_all_and_for_an_address() {
        let load = load();
        let (one, two, three) = (connect(&load, 1), connect(&load, 2), connect(&load, 3));
        let (one, two) = (one.ticket(), two.ticket());
        let first = one.call().expect("within both");
        assert!(one.call().is_none(), "of one address");
        let second = two.call().expect("the refused one gave its place back");
        assert!(three.ticket().call().is_none(), "of all");
        let arriving = one.arrive().expect("another kind");
        assert!(one.arrive().is_none(), "of one address");
        drop(arriving);
        drop(one.arrive().expect("it is here"));
        drop(first);
        let third = one.call().expect("one has ended");
        drop((second, third));
    }

    #[test]
    fn calls_that_outlast_their_connection_are_counted_for_its_address() {
        let load = load();
        let left = connect(&load, 1);
        let call = left.ticket().call().expect("within both");
        drop(left);
        let again = connect(&load, 1);
        assert!(again.ticket().call().is_none(), "of one address");
        drop(call);
        again.ticket().call().expect("it has ended");
    }

    #[test]
    fn what_anybody_may_call_is_counted_for_a_connection_and_takes_no_place_of_others() {
        let load = load();
        let (one, two) = (connect(&load, 1), connect(&load, 1));
        let (one, two) = (one.ticket(), two.ticket());
        let mut held: Vec<_> = (0..OPEN_CALLS).map(|_| one.open_call().expect("within")).collect();
        assert!(one.open_call().is_none());
        two.open_call().expect("another connection");
        one.call().expect("another kind");
        held.pop();
        one.open_call().expect("one has ended");
    }
}
