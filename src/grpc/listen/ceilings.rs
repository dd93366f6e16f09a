//! How much may be open and under way at once, and what is.

mod calls;
mod connections;
mod strangers;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub(in crate::grpc) use calls::{Arriving, OpenCall, Underway};
pub(super) use connections::{Full, Place};
use strangers::{Origin, Strangers};

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

/// What is open and under way.
#[derive(Debug)]
pub(in crate::grpc) struct Load {
    ceilings: Ceilings,
    /// How many connections have come, ever.
    came: AtomicU64,
    connections: AtomicUsize,
    calls: AtomicUsize,
    arriving: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, Arc<AtAddress>>>,
    strangers: Mutex<Strangers>,
}

#[derive(Debug, Default)]
struct AtAddress {
    /// Changed under the lock of the map.
    tickets: AtomicUsize,
    connections: AtomicUsize,
    calls: AtomicUsize,
    arriving: AtomicUsize,
}

/// Of one connection, and of its calls, which may outlast it.
#[derive(Debug)]
pub(in crate::grpc) struct Ticket {
    load: Arc<Load>,
    origin: Origin,
    /// In the order in which connections came.
    number: u64,
    /// A call of it proved who makes it.
    proven: AtomicBool,
    address: Arc<AtAddress>,
    arriving: AtomicUsize,
    open_calls: AtomicUsize,
}

impl Load {
    pub(in crate::grpc) fn new(ceilings: Ceilings) -> Arc<Self> {
        let (came, connections, calls, arriving) = Default::default();
        let (addresses, strangers) = Default::default();
        Arc::new(Self { ceilings, came, connections, calls, arriving, addresses, strangers })
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
