use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;

use crate::{
    domain::{id::ServiceAccountId, refusal::Refusal},
    guard::{self, Guard},
};

/// So many in a second. GCRA: somebody's slot is the moment at which their allowance is whole
/// again, and they may borrow up to a second of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Nanoseconds that one takes.
    cost: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { cost: SECOND / u64::from(per_second.max(1)) }
    }

    /// Spends one, or says how long to wait.
    pub(super) fn spend(self, whole_at: &AtomicU64, boottime: Duration) -> Result<(), Duration> {
        let now = nanos(boottime);
        let next = |whole_at: u64| whole_at.max(now) + self.cost;
        let spent = whole_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |whole_at| {
            Some(next(whole_at)).filter(|next| *next <= now + SECOND)
        });
        spent.map(drop).map_err(|whole_at| Duration::from_nanos(next(whole_at).saturating_sub(now + SECOND)))
    }

    /// Whether something of the allowance is still missing.
    pub(super) fn is_spent(self, whole_at: &AtomicU64, boottime: Duration) -> bool {
        whole_at.load(Ordering::Acquire) > nanos(boottime)
    }
}

fn nanos(boottime: Duration) -> u64 {
    u64::try_from(boottime.as_nanos()).unwrap_or(u64::MAX)
}

/// Signed calls of an account in a second.
#[derive(Debug)]
pub(super) struct SignedCallLimit {
    pace: Pace,
    whole_at: HashMap<ServiceAccountId, Arc<AtomicU64>>,
}

impl SignedCallLimit {
    pub(super) fn new(per_second: u32) -> Self {
        Self { pace: Pace::new(per_second), whole_at: HashMap::new() }
    }

    /// Spends one call of an account that has proven itself: strangers cannot spend it.
    pub(super) fn spend(&self, account: ServiceAccountId, boottime: Duration) -> Result<(), Refusal> {
        if !guard::on(Guard::Rate) {
            return Ok(());
        }
        let slot = Arc::clone(self.whole_at.pin().get_or_insert_with(account, Arc::default));
        self.pace.spend(&slot, boottime).map_err(|retry_after| Refusal::RateLimited { retry_after })
    }
}

/// How many wait for something.
#[derive(Debug, Default)]
pub(super) struct Queue(AtomicUsize);

/// A place in it, until dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a AtomicUsize);

impl Queue {
    /// `None` when it is full.
    pub(super) fn enter(&self, limit: usize) -> Option<Place<'_>> {
        let place = Place(&self.0);
        (self.0.fetch_add(1, Ordering::AcqRel) < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_second_of_calls_at_once_then_one_at_a_time() {
        let limit = SignedCallLimit::new(50);
        let account = ServiceAccountId::new(Uuid::from_u128(1));
        let at = |millis| Duration::from_secs(100) + Duration::from_millis(millis);
        for _ in 0..50 {
            limit.spend(account, at(0)).expect("within the limit");
        }
        assert_eq!(limit.spend(account, at(5)), Err(Refusal::RateLimited { retry_after: Duration::from_millis(15) }));
        limit.spend(account, at(20)).expect("one more after a fiftieth");
        assert!(limit.spend(account, at(20)).is_err());
        limit.spend(ServiceAccountId::new(Uuid::from_u128(2)), at(20)).expect("another account");
    }

    #[test]
    fn a_full_queue_says_so_and_empties() {
        let queue = Queue::default();
        let first = queue.enter(1);
        assert!(first.is_some());
        assert!(queue.enter(1).is_none());
        drop(first);
        assert!(queue.enter(1).is_some());
    }
}
