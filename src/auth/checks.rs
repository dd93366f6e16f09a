//! How much work anybody can make of signatures. RSA takes a tenth of a millisecond and more, and
//! whoever can connect can ask for it: so many at a time, so many in a second, and of these so many
//! for one address. A token that was checked before asks for none.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limit::{Pace, Place, Queue};
use crate::{
    domain::{refusal::Refusal, subnet::household},
    guard::{self, Guard},
};

/// This many wait at most for each that runs: beyond it the caller is told.
const MAX_WAITING: usize = 1024;
/// And of one address, where addresses are told apart.
const MAX_WAITING_OF_ONE: usize = 256;
/// How many addresses are remembered. One that is forgotten begins anew, within what all may.
const MAX_ADDRESSES: usize = 65_536;
/// The share of all checks that unknown kids get: whoever floods us with them slows nobody else.
const OF_UNKNOWN_KIDS: u32 = 5;

#[derive(Debug)]
pub(super) struct Checks {
    known: Line,
    unknown: Line,
    addresses: Option<Addresses>,
}

/// A check that may run, until dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _permit: OwnedSemaphorePermit,
    _place: Place<'a>,
    _address: Option<AtAddress>,
}

impl Checks {
    /// `per_address` 0: they are not told apart.
    pub(super) fn new(per_second: u32, per_address: u32) -> Self {
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            known: Line::new(at_once, per_second),
            unknown: Line::new(1, (per_second / OF_UNKNOWN_KIDS).max(1)),
            addresses: (per_address > 0).then(|| Addresses::new(per_address)),
        }
    }

    /// Waits for a turn to check a signature that came from `peer`. What is refused has cost nothing.
    pub(super) async fn turn(&self, known: bool, peer: Option<IpAddr>, now: Duration) -> Result<Turn<'_>, Refusal> {
        let line = if known { &self.known } else { &self.unknown };
        let address = match (&self.addresses, peer) {
            (Some(addresses), Some(peer)) => Some(addresses.enter(known, peer, now)?),
            _ => None,
        };
        if line.pace.spend(&line.whole_at, now).is_err() && guard::on(Guard::Checks) {
            return Err(Refusal::Overloaded);
        }
        let place = line.queue.enter(MAX_WAITING).ok_or(Refusal::Overloaded)?;
        let permit = Arc::clone(&line.permits).acquire_owned().await.map_err(|_| Refusal::ShuttingDown)?;
        Ok(Turn { _permit: permit, _place: place, _address: address })
    }
}

/// Where checks wait.
#[derive(Debug)]
struct Line {
    permits: Arc<Semaphore>,
    queue: Queue,
    pace: Pace,
    whole_at: AtomicU64,
}

impl Line {
    fn new(at_once: usize, per_second: u32) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once)),
            queue: Queue::default(),
            pace: Pace::new(per_second),
            whole_at: AtomicU64::new(0),
        }
    }
}

/// What each address has done. Known and unknown kids apart: who shares an address with a stranger is
/// not held up by what that one makes up.
#[derive(Debug)]
struct Addresses {
    known: AtEach,
    unknown: AtEach,
}

#[derive(Debug)]
struct AtEach {
    pace: Pace,
    seen: HashMap<IpAddr, Arc<Address>>,
}

#[derive(Debug, Default)]
struct Address {
    whole_at: AtomicU64,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct AtAddress(Arc<Address>);

impl Drop for AtAddress {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Addresses {
    fn new(per_second: u32) -> Self {
        Self { known: AtEach::new(per_second), unknown: AtEach::new((per_second / OF_UNKNOWN_KIDS).max(1)) }
    }

    fn enter(&self, known: bool, peer: IpAddr, now: Duration) -> Result<AtAddress, Refusal> {
        let line = if known { &self.known } else { &self.unknown };
        line.enter(peer, now)
    }
}

impl AtEach {
    fn new(per_second: u32) -> Self {
        Self { pace: Pace::new(per_second), seen: HashMap::new() }
    }

    fn enter(&self, peer: IpAddr, now: Duration) -> Result<AtAddress, Refusal> {
        let seen = self.seen.pin();
        if seen.len() >= MAX_ADDRESSES {
            seen.retain(|_, address| self.pace.is_spent(&address.whole_at, now));
            if seen.len() >= MAX_ADDRESSES {
                seen.clear();
            }
        }
        let household = household(peer);
        // Not `get_or_insert_with`, under which papaya 0.2 lets the table fill up.
        let address = seen.get(&household).unwrap_or_else(|| seen.get_or_insert(household, Arc::default()));
        let address = Arc::clone(address);
        let waiting = address.waiting.fetch_add(1, Ordering::AcqRel);
        let place = AtAddress(address);
        let over = waiting >= MAX_WAITING_OF_ONE || self.pace.spend(&place.0.whole_at, now).is_err();
        if over && guard::on(Guard::Checks) { Err(Refusal::Overloaded) } else { Ok(place) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[tokio::test]
    async fn an_address_has_its_own_checks_and_all_have_theirs_together() {
        let checks = Checks::new(5, 2);
        for _ in 0..2 {
            checks.turn(true, peer("192.0.2.1"), NOW).await.expect("within its own");
        }
        assert_eq!(checks.turn(true, peer("192.0.2.1"), NOW).await.err(), Some(Refusal::Overloaded));
        assert_eq!(checks.turn(true, peer("::ffff:192.0.2.1"), NOW).await.err(), Some(Refusal::Overloaded));
        for _ in 0..2 {
            checks.turn(true, peer("2001:db8::1"), NOW).await.expect("another address");
        }
        let same = checks.turn(true, peer("2001:db8::ffff:1"), NOW).await.err();
        assert_eq!(same, Some(Refusal::Overloaded), "of the same /64");
        checks.turn(true, peer("192.0.2.2"), NOW).await.expect("the fifth of all");
        assert_eq!(checks.turn(true, peer("192.0.2.3"), NOW).await.err(), Some(Refusal::Overloaded));
        checks
            .turn(true, peer("192.0.2.3"), NOW + Duration::from_millis(200))
            .await
            .expect("a fifth of a second later");
    }

    #[tokio::test]
    async fn unknown_kids_take_nothing_of_the_others_at_the_same_address_either() {
        for checks in [Checks::new(5, 0), Checks::new(500, 5)] {
            checks.turn(false, peer("192.0.2.1"), NOW).await.expect("a fifth");
            assert_eq!(checks.turn(false, peer("192.0.2.1"), NOW).await.err(), Some(Refusal::Overloaded));
            for _ in 0..5 {
                checks.turn(true, peer("192.0.2.1"), NOW).await.expect("all that there are");
            }
        }
    }

    #[test]
    fn addresses_are_forgotten_before_they_are_too_many() {
        let addresses = AtEach::new(10);
        for number in 0..MAX_ADDRESSES as u32 + 10 {
            addresses.enter(IpAddr::from(number.to_be_bytes()), NOW).expect("one each");
        }
        assert!(addresses.seen.len() <= MAX_ADDRESSES);
    }
}
