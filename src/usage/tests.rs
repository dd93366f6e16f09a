use std::{collections::BTreeMap, sync::atomic::AtomicBool, sync::atomic::Ordering};

use uuid::Uuid;

use super::*;
use crate::domain::id::{ApplicationId, KeyId};

const NOW: Timestamp = Timestamp::from_seconds(1_795_219_200);

fn whose(key: u128) -> Whose {
    let key_id = Some(KeyId::new(Uuid::from_u128(key)));
    Whose { application_id: ApplicationId::new(Uuid::from_u128(7)), key_id }
}

#[test]
fn what_is_taken_is_taken_once_and_says_the_last_valid() {
    let usage = Usage::default();
    let later = NOW.checked_add(Duration::from_secs(1)).expect("in range");
    usage.count(whose(1), Verdict::Valid, later);
    usage.count(whose(1), Verdict::Valid, NOW);
    usage.count(whose(1), Verdict::QuotaExceeded, later);
    let taken = usage.take();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].counts[0], taken[0].counts[12], taken[0].last_valid), (2, 1, Some(later)));
    assert_eq!(usage.take(), []);
    usage.count(whose(1), Verdict::Revoked, NOW);
    assert_eq!(usage.take()[0].last_valid, None, "a refused call is no use");
}

#[test]
fn calls_of_two_hours_are_counted_apart() {
    let usage = Usage::default();
    usage.count(whose(1), Verdict::Valid, NOW);
    usage.count(whose(1), Verdict::Valid, Timestamp::from_micros(NOW.micros() - 1));
    assert_eq!(usage.take().len(), 2);
}

#[test]
fn tallies_that_nobody_uses_go_and_come_back() {
    let usage = Usage::default();
    usage.count(whose(1), Verdict::Valid, NOW);
    for _ in 0..30 {
        usage.count(whose(2), Verdict::Valid, NOW);
        usage.take();
    }
    assert_eq!(usage.shared.tallies.len(), 1, "the one in use stays");
    usage.count(whose(1), Verdict::Valid, NOW);
    assert_eq!(usage.take()[0].of.whose, whose(1));
    usage.count(whose(1), Verdict::Valid, NOW);
    assert_eq!(usage.discard(), 1);
    assert!(usage.shared.tallies.is_empty());
}

/// Callers count while tallies are taken, closed and dropped as fast as it goes.
#[test]
fn no_late_call_is_lost_and_none_is_taken_twice() {
    const EACH: u64 = 60_000;
    let (usage, done) = (Usage::default(), AtomicBool::new(false));
    let mut sums = BTreeMap::new();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| (0..EACH).for_each(|call| usage.count(whose(u128::from(call % 3)), Verdict::Valid, NOW)))
            })
            .collect();
        let taker = scope.spawn(|| {
            let mut taken = Vec::new();
            while !done.load(Ordering::Acquire) {
                let tallies = usage.shared.tallies.pin();
                for (counted, tally) in &tallies {
                    taken.extend(tally.close(*counted));
                    let _ = tallies.remove_if(counted, |_, tally| tally.is_closed());
                }
                taken.extend(usage.take());
            }
            taken
        });
        callers.into_iter().for_each(|caller| caller.join().expect("a caller"));
        done.store(true, Ordering::Release);
        for tallied in taker.join().expect("the taker").into_iter().chain(usage.take()) {
            *sums.entry(tallied.of).or_insert(0) += tallied.counts[0];
        }
    });
    assert_eq!(sums.into_values().collect::<Vec<_>>(), [EACH; 3]);
}
