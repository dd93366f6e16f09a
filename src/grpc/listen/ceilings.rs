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
    /// Calls that are not answered yet. Streams that have begun count no more: they have their own.
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
    addresses: Mutex<HashMap<IpAddr, Arc<AtAddress>>>,
}

#[derive(Debug, Default)]
struct AtAddress {
    /// Changed under the lock of the map.
    connections: AtomicUsize,
    calls: AtomicUsize,
}

/// A connection, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Ticket {
    load: Arc<Load>,
    household: IpAddr,
    address: Arc<AtAddress>,
}

/// A call, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc) struct Underway(Arc<Ticket>);

impl Load {
    pub(in crate::grpc) fn new(ceilings: Ceilings) -> Arc<Self> {
        let (connections, calls) = Default::default();
        Arc::new(Self { ceilings, connections, calls, addresses: Mutex::default() })
    }

    /// A place for one more connection.
    pub(super) fn connect(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, Full> {
        let household = household(address);
        let at = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let at = Arc::clone(addresses.entry(household).or_default());
            at.connections.fetch_add(1, Ordering::AcqRel);
            at
        };
        self.connections.fetch_add(1, Ordering::AcqRel);
        // Gives back what it took where it is refused.
        let ticket = Ticket { load: Arc::clone(self), household, address: at };
        if !guard::on(Guard::Connections) {
            return Ok(ticket);
        }
        let over = |count: &AtomicUsize, limit: usize| limit > 0 && count.load(Ordering::Acquire) > limit;
        if over(&ticket.address.connections, self.ceilings.connections_per_address) {
            return Err(Full::Address);
        }
        if over(&self.connections, self.ceilings.connections) {
            return Err(Full::All);
        }
        Ok(ticket)
    }
}

impl Ticket {
    /// Counts one more call of this connection.
    pub(super) fn call(self: &Arc<Self>) -> Underway {
        self.load.calls.fetch_add(1, Ordering::Relaxed);
        self.address.calls.fetch_add(1, Ordering::Relaxed);
        Underway(Arc::clone(self))
    }

    /// Whether there are more calls than there may be, the caller's own among them.
    pub(super) fn is_overloaded(&self) -> Option<Full> {
        let Ceilings { calls, calls_per_address, .. } = self.load.ceilings;
        let over = |count: &AtomicUsize, limit: usize| limit > 0 && count.load(Ordering::Relaxed) > limit;
        if over(&self.address.calls, calls_per_address) {
            return Some(Full::Address);
        }
        over(&self.load.calls, calls).then_some(Full::All)
    }
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
        self.0.load.calls.fetch_sub(1, Ordering::Relaxed);
        self.0.address.calls.fetch_sub(1, Ordering::Relaxed);
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
        let first = one.call();
        assert_eq!(one.is_overloaded(), None);
        let second = one.call();
        assert_eq!(one.is_overloaded(), Some(Full::Address));
        let third = two.call();
        assert_eq!(two.is_overloaded(), Some(Full::All));
        drop(second);
        assert_eq!((one.is_overloaded(), two.is_overloaded()), (None, None));
        drop((first, third));
    }
}
