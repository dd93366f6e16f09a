use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;

use crate::domain::{id::ServiceAccountId, refusal::Refusal};

/// How many leaks may be reported to this replica: each is a write, and a guess. GCRA, as for
/// signed calls; there are as many entries as accounts that ever reported one.
#[derive(Debug, Default)]
pub(super) struct Reports {
    by_account: HashMap<ServiceAccountId, Arc<AtomicU64>>,
    by_all: AtomicU64,
}

/// Of one account in a minute.
const OF_ACCOUNT: u64 = 10;
/// Of all accounts.
const OF_ALL: u64 = 120;
const MINUTE: u64 = 60_000_000_000;

impl Reports {
    pub(super) fn spend(&self, account: ServiceAccountId, boottime: Duration) -> Result<(), Refusal> {
        let now = u64::try_from(boottime.as_nanos()).unwrap_or(u64::MAX);
        let slots = self.by_account.pin();
        let slot = || slots.get(&account).unwrap_or_else(|| slots.get_or_insert(account, Arc::default()));
        // Its own allowance first: what one account is refused costs the others nothing.
        spend(slot(), OF_ACCOUNT, now)?;
        spend(&self.by_all, OF_ALL, now)
    }
}

fn spend(whole_at: &AtomicU64, per_minute: u64, now: u64) -> Result<(), Refusal> {
    let next = |whole_at: u64| whole_at.max(now).saturating_add(MINUTE / per_minute);
    let end = now.saturating_add(MINUTE);
    let spent = whole_at
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |whole_at| Some(next(whole_at)).filter(|next| *next <= end));
    spent.map(drop).map_err(|whole_at| Refusal::RateLimited {
        retry_after: Duration::from_nanos(next(whole_at).saturating_sub(end)),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn account(number: u128) -> ServiceAccountId {
        ServiceAccountId::new(Uuid::from_u128(number))
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn ten_a_minute_of_an_account() {
        let reports = Reports::default();
        for _ in 0..10 {
            reports.spend(account(1), at(0)).expect("within the limit");
        }
        let retry_after = Duration::from_secs(4);
        assert_eq!(reports.spend(account(1), at(2)), Err(Refusal::RateLimited { retry_after }));
        reports.spend(account(2), at(2)).expect("another account");
        reports.spend(account(1), at(6)).expect("one more after six seconds");
        assert!(reports.spend(account(1), at(6)).is_err());
    }

    #[test]
    fn accounts_together_are_bounded_too() {
        let reports = Reports::default();
        let passed = (0..200).filter(|number| reports.spend(account(number / 10), at(0)).is_ok()).count();
        assert_eq!(passed, 120);
    }
}
