//! One promise a test, and what would break it first. `tests/guards` switches its guard off and
//! sees it go red.

use std::{sync::Arc, time::Duration};

use portcullis::pb;
use tokio::task::block_in_place;

use crate::{
    dice::Dice,
    fleet::Fleet,
    nonces::replay,
    staff::{Employee, KINDS},
    wish::{LEASE, WAIT, Wish},
};

/// What two replicas say of a key may be VALID no more.
pub(crate) async fn never_valid(fleet: &Fleet, at: usize, secret: &str) {
    let verdict = fleet.verdict(at, secret).await;
    assert!(!matches!(verdict, Ok(pb::Verdict::Valid)), "VALID at replica {at} after the revocation had returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_a_replica_that_cannot_hear_of_it() {
    let fleet = Fleet::start(&Wish::pair()).await;
    let (key, secret) = fleet.key().await;
    fleet.knows(1, &secret).await;
    fleet.replicas[1].proxy.hold();
    let begun = std::time::Instant::now();
    fleet.revoke(0, &key).await.expect("revoke");
    never_valid(&fleet, 1, &secret).await;
    // The silent one's last sync was a moment before.
    let took = begun.elapsed();
    assert!(took < WAIT + Duration::from_secs(1), "it waits for the lease, and no longer: {took:?}");
    fleet.heal();
    fleet.answers(1).await;
    assert_eq!(fleet.verdict(1, &secret).await.expect("verify"), pb::Verdict::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_good_at_every_replica_when_it_is_returned() {
    let fleet = Fleet::start(&Wish::default()).await;
    for round in 0..20 {
        let made = fleet.create(round % 3, "key").await.expect("create");
        for at in 0..3 {
            assert_eq!(fleet.verdict(at, &made.secret).await.expect("verify"), pb::Verdict::Valid, "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stood_still_answers_nothing_from_before() {
    let fleet = Fleet::start(&Wish::pair()).await;
    for still in [LEASE / 2, LEASE + LEASE / 10, 10 * LEASE] {
        let (key, secret) = fleet.key().await;
        // On its own, so that it can learn nothing when it goes on.
        let paused = fleet.replicas[1].pause();
        fleet.replicas[1].proxy.hold();
        let begun = std::time::Instant::now();
        fleet.revoke(0, &key).await.expect("revoke");
        tokio::time::sleep(still.saturating_sub(begun.elapsed())).await;
        drop(paused);
        never_valid(&fleet, 1, &secret).await;
        fleet.heal();
        fleet.answers(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_call_is_good_once_at_all_replicas_together() {
    let fleet = Fleet::start(&Wish::pair()).await;
    let mut dice = Dice::new(1, 1);
    for number in 0..10 {
        assert_eq!(replay(&fleet, &format!("nonce-{number}"), &mut dice).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_never_exceeded_by_all_replicas_together() {
    const LIMIT: i64 = 30;
    let fleet = Arc::new(Fleet::start(&Wish { standby: None, ..Wish::default() }).await);
    let day = Duration::from_hours(24).try_into().ok();
    let limit = pb::RateLimit { name: "day".to_owned(), limit: LIMIT, window: day };
    let request =
        pb::CreateKeyRequest { rate_limits: vec![limit], ..crate::caller::create(&fleet.application, "limited") };
    let made: pb::CreateKeyResponse =
        fleet.clients[0].signed("KeyService/CreateKey", &request, crate::fleet::PATIENCE).await.expect("create");
    let mut spenders = tokio::task::JoinSet::new();
    for at in 0..fleet.replicas.len() {
        let (fleet, secret) = (Arc::clone(&fleet), made.secret.clone());
        spenders.spawn(async move {
            let mut valid = 0;
            // What the others hold in hand may come back to nobody: some refusals are no end.
            for _ in 0..60 {
                valid += i64::from(fleet.verdict(at, &secret).await.expect("verify") == pb::Verdict::Valid);
            }
            valid
        });
    }
    let spent: i64 = spenders.join_all().await.into_iter().sum();
    assert!((1..=LIMIT).contains(&spent), "{spent} of {LIMIT}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_row_is_gone_answers_only_when_it_is_counted_on_again() {
    let fleet = Fleet::start(&Wish::pair()).await;
    let before = block_in_place(|| fleet.members());
    assert_eq!(before.len(), 2);
    // Silent for so long that the other one takes its row out.
    fleet.replicas[1].proxy.hold();
    tokio::time::sleep(WAIT + LEASE).await;
    assert_eq!(block_in_place(|| fleet.members()).len(), 1);
    fleet.heal();
    fleet.answers(1).await;
    // It can hear of nothing from here on; but it answers, for as long as its lease lasts.
    let (key, secret) = fleet.key().await;
    fleet.replicas[1].proxy.hold();
    fleet.revoke(0, &key).await.expect("revoke");
    never_valid(&fleet, 1, &secret).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_first_takes_nobody_for_dead() {
    let fleet = Fleet::start(&Wish { standby: None, ..Wish::default() }).await;
    let before = block_in_place(|| fleet.members());
    assert_eq!(before.len(), 3);
    // The database is away for everybody, for longer than a lease.
    fleet.replicas.iter().for_each(|replica| replica.proxy.hold());
    tokio::time::sleep(WAIT + LEASE).await;
    fleet.replicas[0].proxy.heal();
    fleet.answers(0).await;
    tokio::time::sleep(LEASE / 4).await;
    assert_eq!(block_in_place(|| fleet.members()), before, "the others are as alive as it is");
    fleet.heal();
    fleet.answers(1).await;
    fleet.answers(2).await;
    assert_eq!(block_in_place(|| fleet.members()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lets_in_who_was_dismissed_however_they_prove_who_they_were() {
    let fleet = Fleet::start(&Wish::pair()).await;
    for disable in [false, true] {
        let employee = Employee::hire(&fleet, 0).await.expect("hire");
        for kind in KINDS {
            assert!(employee.passes(&fleet, 1, kind).await.expect("an answer"), "{kind:?}");
        }
        // It can hear of nothing; but it answers, for as long as its lease lasts.
        fleet.replicas[1].proxy.hold();
        employee.dismiss(&fleet, 0, disable).await.expect("dismiss");
        for kind in KINDS {
            assert!(!matches!(employee.passes(&fleet, 1, kind).await, Ok(true)), "{kind:?} passes, disable: {disable}");
            assert!(!employee.passes(&fleet, 0, kind).await.expect("an answer"), "{kind:?}");
        }
        fleet.heal();
        fleet.answers(1).await;
        for kind in KINDS {
            assert!(!employee.passes(&fleet, 1, kind).await.expect("an answer"), "{kind:?}");
        }
    }
}
