use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::subnet::household,
    guard::{self, Guard},
};

/// How much may be open and under way at once. What is per address is off where it is 0: behind a
/// balancer that hands on connections, all callers have one address.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    pub connections: usize,
    pub connections_per_address: usize,
    /// Calls whose message is here and that are not answered yet; and as many again whose message is on its
    /// way, so that whoever never ends one holds up nobody whose is here. Streams of answers that have begun
    /// count no more: they have their own.
    pub calls: usize,
    pub calls_per_address: usize,
    /// How long a connection may take to be there: its handshake, and its first byte.
    pub handshake: Duration,
    /// How long a connection may be without a call.
    pub idle: Duration,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            calls: 4_096,
            calls_per_address: 1_024,
            handshake: Duration::from_secs(10),
            idle: Duration::from_mins(30),
        }
    }
}

/// Beyond `connections`, for who comes from this machine: a container's probe must not fail because strangers are many.
const FOR_LOOPBACK: usize = 16;
/// Of one connection: calls and streams of health and reflection, which anybody may make.
const OPEN_CALLS: usize = 16;

/// Of one connection: messages on their way, once there are half as many of all as there may be. Until then all
/// the streams that it may have at once may be on their way at once, when the messages of a burst come behind
/// their headers.
const ARRIVING: usize = 32;

/// Which ceiling was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc) enum Full {
    All,
    Address,
}

/// What is open and under way.
#[derive(Debug)]
pub(in crate::grpc) struct Load {
    ceilings: Ceilings,
    connections: AtomicUsize,
    calls: AtomicUsize,
    arriving: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, Arc<AtAddress>>>,
}

#[derive(Debug, Default)]
struct AtAddress {
    /// Changed under the lock of the map.
    connections: AtomicUsize,
    calls: AtomicUsize,
    arriving: AtomicUsize,
}

/// A connection, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Ticket {
    load: Arc<Load>,
    household: IpAddr,
    address: Arc<AtAddress>,
    arriving: AtomicUsize,
    open_calls: AtomicUsize,
}

/// A call, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Underway(Arc<Ticket>);

/// A message on its way, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Arriving(Arc<Ticket>);

/// A call that anybody may make, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct OpenCall(Arc<Ticket>);

impl Load {
    pub(in crate::grpc) fn new(ceilings: Ceilings) -> Arc<Self> {
        let (connections, calls, arriving) = Default::default();
        Arc::new(Self { ceilings, connections, calls, arriving, addresses: Mutex::default() })
    }

    /// A place for one more connection.
    pub(super) fn connect(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, Full> {
        let household = household(address);
        let (at, of_address) = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let at = Arc::clone(addresses.entry(household).or_default());
            let of_address = one_more(&at.connections);
            (at, of_address)
        };
        let of_all = one_more(&self.connections);
        // Gives back what it took where it is refused.
        let (arriving, open_calls) = Default::default();
        let ticket = Ticket { load: Arc::clone(self), household, address: at, arriving, open_calls };
        if !guard::on(Guard::Connections) {
            return Ok(ticket);
        }
        if over(of_address, self.ceilings.connections_per_address) {
            return Err(Full::Address);
        }
        let beyond = if address.to_canonical().is_loopback() { FOR_LOOPBACK } else { 0 };
        if over(of_all, self.ceilings.connections + beyond) {
            return Err(Full::All);
        }
        Ok(ticket)
    }
}

impl Ticket {
    /// A place for one more call of this connection. Each of these gives back what it took where there is none.
    pub(super) fn call(self: &Arc<Self>) -> Option<Underway> {
        let (of_all, of_address) = (one_more(&self.load.calls), one_more(&self.address.calls));
        let call = Underway(Arc::clone(self));
        let Ceilings { calls, calls_per_address, .. } = self.load.ceilings;
        let over = over(of_address, calls_per_address) || over(of_all, calls);
        (!over || !guard::on(Guard::Shed)).then_some(call)
    }

    pub(super) fn arrive(self: &Arc<Self>) -> Option<Arriving> {
        let (of_all, of_address) = (one_more(&self.load.arriving), one_more(&self.address.arriving));
        let of_connection = one_more(&self.arriving);
        let arriving = Arriving(Arc::clone(self));
        let Ceilings { calls, calls_per_address, .. } = self.load.ceilings;
        let crowds = of_all > calls / 2 && of_connection > ARRIVING;
        let over = over(of_address, calls_per_address) || over(of_all, calls) || crowds;
        (!over).then_some(arriving)
    }

    pub(super) fn open_call(self: &Arc<Self>) -> Option<OpenCall> {
        let of_connection = one_more(&self.open_calls);
        let call = OpenCall(Arc::clone(self));
        (!over(of_connection, OPEN_CALLS)).then_some(call)
    }
}

/// The number that whoever comes last has among them: two that take the last place at once are not both refused.
fn one_more(count: &AtomicUsize) -> usize {
    count.fetch_add(1, Ordering::AcqRel) + 1
}

/// 0: there is no limit.
fn over(number: usize, limit: usize) -> bool {
    limit > 0 && number > limit
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::AcqRel);
        let mut addresses = self.load.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if self.address.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            addresses.remove(&self.household);
        }
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

    fn load(connections: usize, connections_per_address: usize) -> Arc<Load> {
        Load::new(Ceilings {
            connections,
            connections_per_address,
            calls: 2,
            calls_per_address: 1,
            ..Ceilings::default()
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_are_counted_for_all_and_for_an_address_and_given_back() {
        let load = load(3, 2);
        let one = load.connect(address("192.0.2.1")).expect("one");
        let _two = load.connect(address("::ffff:192.0.2.1")).expect("two");
        assert_eq!(load.connect(address("192.0.2.1")).err(), Some(Full::Address));
        let _three = load.connect(address("192.0.2.2")).expect("three");
        assert_eq!(load.connect(address("192.0.2.3")).err(), Some(Full::All));
        drop(one);
        let _again = load.connect(address("192.0.2.1")).expect("one was given back");
        assert_eq!(load.addresses.lock().expect("addresses").len(), 2, "those that are there, and no refused one");
    }

    #[test]
    fn strangers_take_no_place_of_those_that_are_kept_for_this_machine() {
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let load = load(3, 0);
            let mut held: Vec<_> = (1..=3).map(|at| load.connect([192, 0, 2, at].into()).expect("a place")).collect();
            held.extend((0..FOR_LOOPBACK).map(|_| load.connect(address(local)).expect("a place is kept")));
            assert_eq!(load.connect(address(local)).err(), Some(Full::All), "they are counted, too");
            assert_eq!(load.connect(address("192.0.2.4")).err(), Some(Full::All));
        }
    }

    #[test]
    fn an_address_is_not_asked_for_where_that_is_off() {
        let load = load(3, 0);
        let tickets: Vec<_> = (0..3).map(|_| load.connect(address("192.0.2.1")).expect("a place")).collect();
        assert_eq!(load.connect(address("192.0.2.1")).err(), Some(Full::All));
        drop(tickets);
        assert!(load.addresses.lock().expect("addresses").is_empty());
    }

    #[test]
    fn calls_are_counted_for_all_and_for_an_address() {
        let load = load(10, 10);
        let connect = |text| Arc::new(load.connect(address(text)).expect("a connection"));
        let (one, two) = (connect("192.0.2.1"), connect("192.0.2.2"));
        let first = one.call().expect("within both");
        assert!(one.call().is_none(), "of one address");
        let second = two.call().expect("the refused one gave its place back");
        assert!(connect("192.0.2.3").call().is_none(), "of all");
        let arriving = one.arrive().expect("another kind");
        assert!(one.arrive().is_none(), "of one address");
        drop(arriving);
        drop(one.arrive().expect("it is here"));
        drop(first);
        let third = one.call().expect("one has ended");
        drop((second, third));
    }

    #[test]
    fn what_anybody_may_call_is_counted_for_a_connection_and_takes_no_place_of_others() {
        let load = load(10, 10);
        let connect = || Arc::new(load.connect(address("192.0.2.1")).expect("a connection"));
        let (one, two) = (connect(), connect());
        let mut held: Vec<_> = (0..OPEN_CALLS).map(|_| one.open_call().expect("within")).collect();
        assert!(one.open_call().is_none());
        two.open_call().expect("another connection");
        one.call().expect("another kind");
        held.pop();
        one.open_call().expect("one has ended");
    }
}
