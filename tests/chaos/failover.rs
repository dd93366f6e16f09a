//! What a database that fails over, or is told to lose something, does to a revocation.

use std::{sync::Arc, time::Duration};

use portcullis::pb;
use tokio::task::block_in_place;

use crate::{
    fleet::Fleet,
    postgres::{Backend, Paused, Sync},
    wish::{LEASE, WAIT, Wish},
};

/// The primary is lost, and what its standby has is all there is.
fn lose_primary(fleet: &Fleet) {
    fleet.primary().kill9();
    let new = fleet.promote();
    fleet.lead_to(&new);
}

/// From here on the standby hears of nothing. It would be no use to stop the standby: when it goes
/// on, it reads what has reached its machine.
fn stop_sending(fleet: &Fleet) -> Paused {
    block_in_place(|| fleet.primary().pause_backend(Backend::WalSender)).expect("a walsender")
}

async fn all_refuse(fleet: &Fleet, secret: &str) {
    for at in 0..fleet.replicas.len() {
        fleet.answers(at).await;
        let verdict = fleet.verdict(at, secret).await.expect("verify");
        assert_eq!(verdict, pb::Verdict::Revoked, "at replica {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_loses_nothing_that_was_acknowledged() {
    let fleet = Fleet::start(&Wish::default()).await;
    let (key, secret) = fleet.key().await;
    let (_, good) = fleet.key().await;
    fleet.revoke(0, &key).await.expect("revoke");
    block_in_place(|| lose_primary(&fleet));
    all_refuse(&fleet, &secret).await;
    for at in 0..3 {
        assert_eq!(fleet.verdict(at, &good).await.expect("verify"), pb::Verdict::Valid);
    }
    block_in_place(|| fleet.follow(Sync::Yes));
    let (key, secret) = fleet.key().await;
    fleet.revoke(1, &key).await.expect("revoke");
    all_refuse(&fleet, &secret).await;
    assert_eq!(block_in_place(|| fleet.history_is_whole()), [""; 0]);
}

/// The standby takes over while the primary lives, with a replica beside it that hears of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_beside_a_primary_that_was_left_behind_answers_nothing() {
    let fleet = Fleet::start(&Wish::default()).await;
    let (key, secret) = fleet.key().await;
    block_in_place(|| {
        let new = fleet.promote();
        fleet.replicas[..2].iter().for_each(|replica| replica.proxy.lead_to(new.port));
    });
    for at in 0..2 {
        fleet.answers(at).await;
    }
    fleet.revoke(0, &key).await.expect("revoke");
    for _ in 0..20 {
        let verdict = fleet.verdict(2, &secret).await;
        assert!(!matches!(verdict, Ok(pb::Verdict::Valid)), "VALID beside the primary that was left behind");
        tokio::time::sleep(LEASE / 10).await;
    }
    block_in_place(|| fleet.lead_to(&fleet.primary()));
    all_refuse(&fleet, &secret).await;
}

/// Cancelled while it waits for its standby, a commit says that it is done: others see it, and
/// the standby may never have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_cancelled_while_it_waited_for_a_standby_is_not_taken_for_one() {
    let fleet = Arc::new(Fleet::start(&Wish::pair()).await);
    let (key, secret) = fleet.key().await;
    let _paused = stop_sending(&fleet);
    let revoked = {
        let (fleet, key) = (Arc::clone(&fleet), key.clone());
        tokio::spawn(async move { fleet.revoke_within(0, &key, WAIT + 3 * LEASE).await })
    };
    block_in_place(|| fleet.cancel_mutation());
    let answer = revoked.await.expect("a task");
    // The standby never heard of it, and now it is all there is.
    block_in_place(|| {
        fleet.primary().kill9();
        let new = fleet.promote();
        fleet.lead_to(&new);
    });
    for at in 0..2 {
        fleet.answers(at).await;
        let verdict = fleet.verdict(at, &secret).await.expect("verify");
        assert!(answer.is_err() || verdict == pb::Verdict::Revoked, "OK, and {verdict:?} at replica {at}");
    }
    assert!(answer.is_err(), "no standby had it");
}

/// Emptying the list of standbys lets waiting commits go, as if all were well.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_lose_what_it_acknowledges_is_not_answered_by() {
    let fleet = Arc::new(Fleet::start(&Wish::pair()).await);
    let (key, _) = fleet.key().await;
    let standby = fleet.standby().expect("a standby");
    let paused = stop_sending(&fleet);
    block_in_place(|| fleet.primary().set("synchronous_standby_names", ""));
    let answer = fleet.revoke_within(0, &key, WAIT + 3 * LEASE).await;
    assert!(answer.is_err(), "a failover would lose it");
    tokio::time::sleep(LEASE).await;
    let verdict = fleet.verdict(0, "sk_live_nobody").await;
    assert!(verdict.is_err(), "nor does anything else rest on it: {verdict:?}");
    block_in_place(|| fleet.primary().set("synchronous_standby_names", &standby.name));
    drop(paused);
    fleet.answers(0).await;
    fleet.revoke(0, &key).await.expect("revoke");
}

/// A standby that nobody waited for, and that had not heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_a_failover_lost_is_written_again() {
    let fleet =
        Fleet::start(&Wish { standby: Some(Sync::No), ..Wish::pair() }.with(&["--durability", "relaxed"])).await;
    let (key, secret) = fleet.key().await;
    let standby = fleet.standby().expect("a standby");
    block_in_place(|| standby.has_all_of(&fleet.primary()));
    let _paused = stop_sending(&fleet);
    fleet.revoke(0, &key).await.expect("revoke");
    block_in_place(|| {
        fleet.primary().kill9();
        let new = fleet.promote();
        assert_eq!(fleet.psql("SELECT count(*) FROM api_key WHERE revoke_time IS NOT NULL"), "0", "it is lost");
        fleet.lead_to(&new);
    });
    for at in 0..2 {
        for _ in 0..40 {
            let verdict = fleet.verdict(at, &secret).await;
            assert!(!matches!(verdict, Ok(pb::Verdict::Valid)), "VALID at replica {at}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    all_refuse(&fleet, &secret).await;
}

/// A replica that joined a moment before the failover, which its successor has never heard of.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_just_begun_does_not_say_who_serves() {
    let wish = Wish { standby: Some(Sync::No), ..Wish::pair() }
        .with(&["--durability", "relaxed"])
        .lease(Duration::from_secs(20));
    let fleet = Fleet::start(&wish).await;
    let (key, secret) = fleet.key().await;
    let standby = fleet.standby().expect("a standby");
    block_in_place(|| {
        fleet.replicas[1].end();
        standby.has_all_of(&fleet.primary());
    });
    let _paused = stop_sending(&fleet);
    fleet.replicas[1].start();
    fleet.answers(1).await;
    // It goes on by its lease: nobody tells it that its database is gone.
    fleet.replicas[1].proxy.hold();
    block_in_place(|| {
        fleet.primary().kill9();
        let new = fleet.promote();
        fleet.replicas[0].proxy.lead_to(new.port);
    });
    fleet.answers(0).await;
    assert_eq!(fleet.verdict(1, &secret).await.expect("its lease holds"), pb::Verdict::Valid);
    fleet.revoke(0, &key).await.expect("revoke");
    let verdict = fleet.verdict(1, &secret).await;
    assert!(!matches!(verdict, Ok(pb::Verdict::Valid)), "VALID by the database that is gone");
}
