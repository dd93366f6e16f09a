use std::{
    net::IpAddr,
    pin::pin,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    task::{Context, Poll, ready},
};

use tokio::{sync::oneshot, task::coop::unconstrained};

use super::{
    Load, Ticket, one_more, over,
    strangers::{Last, Leaver, Origin, Strangers},
};
use crate::guard::{self, Guard};

/// Beyond `connections`, for who comes from this machine: a container's probe must not fail because strangers are many.
const FOR_LOOPBACK: usize = 16;

/// Which ceiling was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc::listen) enum Full {
    All,
    Address,
}

/// A connection, counted until dropped.
#[derive(Debug)]
pub(in crate::grpc::listen) struct Place {
    ticket: Arc<Ticket>,
    /// As long as it may be given up.
    told: Option<oneshot::Receiver<Last>>,
    /// It is given up.
    last: Option<Last>,
}

impl Load {
    /// A place for one more connection, and who must have left before it is taken up: when all are taken, a
    /// stranger makes room. Who has proven itself never does.
    pub(in crate::grpc::listen) fn connect(self: &Arc<Self>, address: IpAddr) -> Result<(Place, Option<Leaver>), Full> {
        let (ticket, of_address) = self.ticket(Origin::of(address));
        let of_all = one_more(&self.connections);
        // Gives back what it took where it is refused.
        let mut place = Place { ticket, told: None, last: None };
        let Ticket { origin, number, .. } = *place.ticket;
        let mut leaver = None;
        if guard::on(Guard::Connections) {
            if over(of_address, self.ceilings.connections_per_address) {
                return Err(Full::Address);
            }
            let beyond = if origin.is_local { FOR_LOOPBACK } else { 0 };
            if over(of_all, self.ceilings.connections + beyond) {
                leaver = if guard::on(Guard::Strangers) { self.strangers().give_up(origin) } else { None };
                if leaver.is_none() {
                    return Err(Full::All);
                }
            }
        }
        place.told = Some(self.strangers().enter(origin, number));
        Ok((place, leaver))
    }

    /// And the how manieth connection of its address it is.
    fn ticket(self: &Arc<Self>, origin: Origin) -> (Arc<Ticket>, usize) {
        let (address, of_address) = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let address = Arc::clone(addresses.entry(origin.household).or_default());
            one_more(&address.tickets);
            let of_address = one_more(&address.connections);
            (address, of_address)
        };
        let number = self.came.fetch_add(1, Ordering::Relaxed);
        let (proven, arriving, open_calls) = Default::default();
        let load = Arc::clone(self);
        (Arc::new(Ticket { load, origin, number, proven, address, arriving, open_calls }), of_address)
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(in crate::grpc::listen) fn ticket(&self) -> &Arc<Ticket> {
        &self.ticket
    }

    /// Ready when the connection is to end, so that another finds a place.
    pub(in crate::grpc::listen) fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(told) = &mut self.told {
            // Unconstrained: whoever sends without a pause leaves a connection nothing of its turn but this.
            self.last = ready!(pin!(unconstrained(told)).poll(context)).ok();
            self.told = None;
        }
        if self.last.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Ticket {
    /// A call of this connection proved who makes it: it is a stranger's no more.
    pub(in crate::grpc::listen) fn prove(&self) {
        if !self.proven.load(Ordering::Relaxed) && !self.proven.swap(true, Ordering::Relaxed) {
            self.load.strangers().leave(self.origin, self.number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ticket { load, origin, number, address, .. } = &*self.ticket;
        load.strangers().leave(*origin, *number);
        load.connections.fetch_sub(1, Ordering::AcqRel);
        address.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut addresses = self.load.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if self.address.tickets.fetch_sub(1, Ordering::AcqRel) == 1 {
            addresses.remove(&self.origin.household);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::grpc::Ceilings;

    fn load(connections: usize, connections_per_address: usize) -> Arc<Load> {
        Load::new(Ceilings { connections, connections_per_address, ..Ceilings::default() })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn is_given_up(place: &mut Place) -> bool {
        place.poll_given_up(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// One that is let in while there is room, and has proven itself.
    fn proven(load: &Arc<Load>, text: &str) -> Place {
        let (place, leaver) = load.connect(address(text)).expect("a place");
        assert!(leaver.is_none(), "there was room");
        place.ticket().prove();
        place
    }

    #[test]
    fn connections_are_counted_for_all_and_for_an_address_and_given_back() {
        let load = load(3, 2);
        let one = proven(&load, "192.0.2.1");
        let _two = proven(&load, "::ffff:192.0.2.1");
        assert_eq!(load.connect(address("192.0.2.1")).err(), Some(Full::Address));
        let _three = proven(&load, "192.0.2.2");
        assert_eq!(load.connect(address("192.0.2.3")).err(), Some(Full::All));
        drop(one);
        let _again = proven(&load, "192.0.2.1");
        assert_eq!(load.addresses.lock().expect("addresses").len(), 2, "those that are there, and no refused one");
    }

    #[test]
    fn strangers_take_no_place_of_those_that_are_kept_for_this_machine() {
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let load = load(3, 0);
            let mut held: Vec<_> = (1..=3).map(|at| proven(&load, &format!("192.0.2.{at}"))).collect();
            held.extend((0..FOR_LOOPBACK).map(|_| proven(&load, local)));
            assert_eq!(load.connect(address(local)).err(), Some(Full::All), "they are counted, too");
            assert_eq!(load.connect(address("192.0.2.4")).err(), Some(Full::All));
            held.pop();
            let _stranger = load.connect(address(local)).expect("a place that is kept");
            assert_eq!(load.connect(address("192.0.2.4")).err(), Some(Full::All), "it is given up to nobody else");
            load.connect(address(local)).expect("in its place");
        }
    }

    #[test]
    fn an_address_is_not_asked_for_where_that_is_off() {
        let load = load(3, 0);
        let places: Vec<_> = (0..3).map(|_| proven(&load, "192.0.2.1")).collect();
        assert_eq!(load.connect(address("192.0.2.1")).err(), Some(Full::All));
        drop(places);
        assert!(load.addresses.lock().expect("addresses").is_empty());
    }

    #[test]
    fn an_address_that_has_all_that_it_may_have_is_refused_and_nobody_given_up() {
        let load = load(2, 2);
        let mut held: Vec<_> = (0..2).map(|_| load.connect(address("192.0.2.1")).expect("a place").0).collect();
        assert_eq!(load.connect(address("192.0.2.1")).err(), Some(Full::Address));
        assert!(!held.iter_mut().any(is_given_up));
    }

    #[test]
    fn who_is_given_up_is_waited_for_until_its_place_is_given_back() {
        let load = load(1, 0);
        let (mut first, _) = load.connect(address("192.0.2.1")).expect("a place");
        assert!(!is_given_up(&mut first));
        let (second, leaver) = load.connect(address("192.0.2.2")).expect("in its place");
        let leaver = leaver.expect("the first one leaves");
        assert_eq!(leaver.household, address("192.0.2.1"));
        first.ticket().prove(); // too late
        assert!(is_given_up(&mut first) && is_given_up(&mut first), "whenever it is asked");
        let mut gone = pin!(leaver.gone());
        assert!(gone.as_mut().now_or_never().is_none(), "it is still there");
        drop(first);
        assert!(gone.as_mut().now_or_never().is_some());
        assert_eq!(load.connections.load(Ordering::Acquire), 1);
        drop(second);
    }

    /// What happens to connections.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Comes(u8),
        Proves(prop::sample::Index),
        Ends(prop::sample::Index),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            3 => (0..5u8).prop_map(Happens::Comes),
            1 => any::<prop::sample::Index>().prop_map(Happens::Proves),
            1 => any::<prop::sample::Index>().prop_map(Happens::Ends),
        ]
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_may_be_and_who_is_refused_finds_nobody_but_proven_ones(
            all in prop::collection::vec(happens(), 1..200),
        ) {
            const MOST: usize = 8;
            let load = load(MOST, 0);
            let mut held: Vec<(Place, bool)> = Vec::new();
            for one in all {
                match one {
                    Happens::Comes(number) => match load.connect([192, 0, 2, number].into()) {
                        Ok((place, leaver)) => {
                            if let Some(leaver) = leaver {
                                let at = held.iter_mut().position(|(place, _)| is_given_up(place)).expect("one is told");
                                prop_assert!(!held.remove(at).1, "it had proven itself");
                                prop_assert!(leaver.gone().now_or_never().is_some());
                            }
                            held.push((place, false));
                        }
                        Err(_) => prop_assert!(held.len() == MOST && held.iter().all(|(_, proven)| *proven)),
                    },
                    Happens::Proves(at) if !held.is_empty() => {
                        let at = at.index(held.len());
                        held[at].0.ticket().prove();
                        held[at].1 = true;
                    }
                    Happens::Ends(at) if !held.is_empty() => drop(held.remove(at.index(held.len()))),
                    _ => {}
                }
                prop_assert!(held.len() <= MOST && load.connections.load(Ordering::Acquire) == held.len());
                prop_assert!(!held.iter_mut().any(|(place, _)| is_given_up(place)));
            }
            drop(held);
            prop_assert!(load.addresses.lock().expect("addresses").is_empty());
        }
    }
}
