//! Several spenders of separate chunks over one store, as several replicas will be.

use std::{sync::Arc, time::Duration};

use portcullis::{
    domain::span::Span,
    entropy::Entropy,
    store::{Store, Unspent},
};
use tokio::task::JoinSet;

use crate::harness::{
    Dice,
    shop::{Key, Shop, Spender, key, limits},
};

/// All of them ask, each in several calls at once, until each is refused.
async fn all_ask(spenders: &Arc<[Spender]>, key: &Key, at_once: usize) -> u64 {
    let mut calls = JoinSet::new();
    for at in (0..spenders.len()).cycle().take(spenders.len() * at_once) {
        let (spenders, key) = (Arc::clone(spenders), key.clone());
        calls.spawn(async move { spenders[at].all(&key).await });
    }
    calls.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_spenders_together_get_exactly_the_limit_of_each_window() {
    let shop = Shop::open(4).await;
    let spenders = shop.spenders(4);
    let key = key(&[(1000, 60), (2500, 3600)]);
    for expected in [1000, 1000, 500, 0] {
        assert_eq!(all_ask(&spenders, &key, 8).await, expected);
        shop.clock.advance(Duration::from_secs(60));
    }
    // What the minute refused was not taken from the hour either, and the other way round.
    assert_eq!(shop.granted(key.id, "3600s").await, 2500);
    let balances = spenders[0].look(&key).await;
    assert_eq!(balances.iter().map(|balance| balance.remaining).collect::<Vec<_>>(), [1000, 0]);
    shop.clock.advance(Duration::from_secs(3600 - 4 * 60));
    assert_eq!(all_ask(&spenders, &key, 8).await, 1000, "and the next hour is a new one");
}

#[tokio::test]
async fn what_one_spender_was_granted_no_other_gets() {
    let shop = Shop::open(2).await;
    let (one, other) = (shop.spender(), shop.spender());
    let key = key(&[(10, 60)]);
    for _ in 0..10 {
        assert!(one.call(&key, 1).await);
    }
    assert!(!other.call(&key, 1).await);
    assert!(!one.call(&key, 1).await);
}

#[tokio::test]
async fn what_a_spender_that_stops_gives_back_the_others_spend() {
    let shop = Shop::open(2).await;
    let (one, other) = (shop.spender(), shop.spender());
    let key = key(&[(100, 60), (1000, 3600)]);
    for _ in 0..10 {
        assert!(one.call(&key, 1).await);
    }
    let before = shop.granted(key.id, "60s").await;
    let at_hand = u64::try_from(before - 10).expect("no less than was spent");
    assert!(at_hand > 0, "{before} were granted");
    assert_eq!(other.all(&key).await, 90 - at_hand, "all but what the first has in hand");
    one.settled().await;
    one.budgets.give_back().await.expect("given back");
    one.budgets.give_back().await.expect("a repeat finds nothing");
    assert_eq!(other.all(&key).await, 0, "it was told that there is nothing a moment ago");
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(other.all_again(&key).await, at_hand);
    assert_eq!((shop.granted(key.id, "60s").await, one.all(&key).await), (100, 0));
}

#[tokio::test]
async fn what_is_given_back_after_its_window_stays_out_of_the_next() {
    let shop = Shop::open(2).await;
    let (one, other) = (shop.spender(), shop.spender());
    let key = key(&[(100, 60)]);
    assert!(one.call(&key, 1).await);
    let answer = one.look(&key).await;
    assert_eq!((answer[0].remaining, answer[0].limit), (99, 100));
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(other.all(&key).await, 100);
    one.budgets.give_back().await.expect("nothing to give");
    // One that arrives late is of the window that was.
    let (span, window_start) = (Span::Seconds(60), shop.clock.now().saturating_sub(Duration::from_secs(60)));
    let late = Unspent { budget: key.id, span, window_start, amount: 7 };
    shop.store.give_back(vec![late]).await.expect("passed over");
    assert_eq!(shop.granted(key.id, "60s").await, 100);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(other.all_again(&key).await, 0);
}

/// Limits lowered and raised, spenders that vanish with their chunks, others that leave
/// cleanly, windows that end: by the store's clock no window ever sees more than its limit.
#[tokio::test]
async fn no_window_sees_more_than_its_limit_whatever_becomes_of_limits_and_spenders() {
    let mut dice = Dice::new();
    let shop = Shop::open(3).await;
    for _ in 0..12 {
        let mut spenders: Vec<Spender> = (0..3).map(|_| shop.spender()).collect();
        let mut limit = 1 + dice.below(60);
        let mut key = key(&[(limit, 60), (1_000_000, 3600)]);
        let (mut passed, mut is_whole) = (0, true);
        for _ in 0..120 {
            let who = dice.below(3) as usize;
            match dice.below(40) {
                0 => {
                    spenders[who] = shop.spender();
                    is_whole = false;
                }
                1 => {
                    // What comes for it afterwards would be lost.
                    spenders[who].settled().await;
                    spenders[who].budgets.give_back().await.expect("given back");
                    spenders[who] = shop.spender();
                }
                2 => {
                    let before = std::mem::replace(&mut limit, 1 + dice.below(60));
                    is_whole &= before <= limit;
                    key.own = limits(&[(limit, 60), (1_000_000, 3600)]);
                    for spender in &spenders {
                        spender.look(&key).await;
                    }
                }
                3 => {
                    shop.clock.advance(Duration::from_secs(60));
                    (passed, is_whole) = (0, true);
                }
                _ => {
                    let cost = 1 + dice.below(4);
                    if spenders[who].call(&key, cost).await {
                        passed += cost;
                        assert!(passed <= limit, "{passed} of {limit}");
                    }
                }
            }
        }
        // Whoever was told that nothing is left may ask again.
        shop.clock.advance(Duration::from_secs(1));
        let mut more = 0;
        for spender in &spenders {
            more += spender.all_again(&key).await;
        }
        passed += more;
        assert!(more == 0 || passed <= limit, "{passed} of {limit}");
        assert!(!is_whole || passed == limit, "{passed} of {limit}, and nothing was lost");
        shop.clock.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_waits_takes_nothing_with_it() {
    let shop = Shop::open(1).await;
    let spenders = shop.spenders(1);
    let key = key(&[(200, 60)]);
    let mut passed = 0;
    for round in 0..40 {
        let mut calls = JoinSet::new();
        for _ in 0..10 {
            let (spenders, key) = (Arc::clone(&spenders), key.clone());
            calls.spawn(async move { spenders[0].call(&key, 1).await });
        }
        // Some are under way to the store, and some wait for those.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        calls.abort_all();
        while let Some(call) = calls.join_next().await {
            passed += u64::from(call.is_ok_and(|passed| passed));
        }
    }
    passed += all_ask(&spenders, &key, 4).await;
    assert_eq!(passed, 200);
}

#[tokio::test]
async fn many_keys_are_served_in_one_transaction_and_each_gets_its_own_limit() {
    let shop = Shop::open(2).await;
    let spenders = shop.spenders(2);
    let keys: Vec<Key> = (1..=200).map(|limit| key(&[(limit, 60), (2 * limit, 3600)])).collect();
    let mut first = JoinSet::new();
    for key in keys.clone() {
        let spenders = Arc::clone(&spenders);
        first.spawn(async move { spenders[0].call(&key, 1).await });
    }
    assert!(first.join_all().await.into_iter().all(|passed| passed));
    let hand_outs = shop.store.hand_outs();
    println!("{hand_outs} hand-outs for the first call of 200 keys");
    assert!(hand_outs <= 20, "{hand_outs}");
    for (key, limit) in keys.iter().zip(1..) {
        assert_eq!(all_ask(&spenders, key, 1).await, limit - 1, "after the first call");
    }
}

#[tokio::test]
async fn a_store_whose_clock_is_set_back_opens_no_window_again() {
    let Shop { data, store, clock } = Shop::open(0).await;
    let key = key(&[(10, 60)]);
    clock.advance(Duration::from_secs(60));
    {
        let shop = Shop { data, store, clock };
        assert_eq!(shop.spender().all(&key).await, 10);
        shop.clock.step(-60_000_000);
        assert_eq!(shop.spender().all(&key).await, 0, "in the same process");
        shop.store.close().await;
        let Shop { data, store, clock } = shop;
        drop(store);
        let store = Store::open(&data.database_url(), clock.clone(), Entropy::system()).await.expect("open again");
        let shop = Shop { data, store, clock };
        assert_eq!(shop.spender().all(&key).await, 0, "and after a restart");
        shop.clock.advance(Duration::from_secs(60));
        assert_eq!(shop.spender().all(&key).await, 0, "up to the end of the window that was");
        shop.clock.advance(Duration::from_secs(60));
        assert_eq!(shop.spender().all(&key).await, 10);
    }
}

/// One spender makes 90 % of the calls, twice as many as are allowed.
#[tokio::test]
async fn under_skew_most_of_the_limit_is_admitted_and_never_more() {
    for (limit, members) in [(100, 3), (1000, 3), (1000, 10), (10_000, 3)] {
        let shop = Shop::open(members).await;
        let spenders = shop.spenders(members);
        let key = key(&[(limit, 60)]);
        let calls = 2 * limit;
        let mut dice = Dice::new();
        let mut admitted = Vec::new();
        for _ in 0..3 {
            let begun = shop.clock.now();
            let mut passed = 0;
            for call in 0..calls {
                let who = if dice.below(10) > 0 { 0 } else { 1 + dice.below(members as u64 - 1) as usize };
                passed += u64::from(spenders[who].call(&key, 1).await);
                let due = Duration::from_micros(60_000_000 * (call + 1) / calls);
                shop.clock.advance(due.saturating_sub(shop.clock.now().since(begun)));
            }
            assert!(passed <= limit, "{passed} of {limit}");
            admitted.push(passed * 1000 / limit);
        }
        let hand_outs = shop.store.hand_outs();
        println!("{members} members, {limit} a minute: {admitted:?} ‰ admitted, {hand_outs} hand-outs in 3 minutes");
        assert!(admitted.iter().all(|share| *share >= 930), "{admitted:?} ‰");
    }
}
