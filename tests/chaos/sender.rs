//! The process that sends the log to the standby is killed while a revocation waits for that.

use std::{sync::Arc, time::Instant};

use portcullis::pb;
use tokio::task::block_in_place;

use crate::{
    fleet::Fleet,
    postgres::Backend,
    wish::{LEASE, Wish},
};

/// The server ends all its sessions then, and recovers: the revocation is there, its caller is gone, and no
/// standby has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_whose_wal_sender_is_killed_is_confirmed_when_the_standby_has_it_and_not_before() {
    let fleet = Arc::new(Fleet::start(&Wish::pair().database(&["wal_retrieve_retry_interval = '200ms'"])).await);
    let (key, secret) = fleet.key().await;
    let (_, good) = fleet.key().await;
    let (primary, standby) = (fleet.primary(), fleet.standby().expect("a standby"));
    let sending = block_in_place(|| primary.pause_backend(Backend::WalSender)).expect("a walsender");
    let revoking = {
        let (fleet, key) = (Arc::clone(&fleet), key.clone());
        tokio::spawn(async move { fleet.revoke_within(0, &key, 5 * LEASE).await })
    };
    // It stands still as well, or it would ask for another sender at once.
    let receiving = block_in_place(|| {
        fleet.mutation_waits();
        let receiving = standby.pause();
        assert!(primary.kill_backend(Backend::WalSender));
        receiving
    });
    drop(sending);
    block_in_place(|| primary.until("SELECT 1"));
    assert_eq!(block_in_place(|| fleet.psql(REVOKED)), "1", "it is in the log, which is all that counts here");
    // Whoever repeats it, and wherever, finds it done; and nobody may say so.
    let begun = Instant::now();
    while begun.elapsed() < 2 * LEASE {
        for at in 0..2 {
            let answer = fleet.revoke_within(at, &key, LEASE / 2).await;
            assert!(answer.is_err(), "OK at replica {at}, and no standby has it");
        }
    }
    assert!(revoking.await.expect("a task").is_err(), "OK, and no standby has it");

    drop(receiving);
    block_in_place(|| fleet.is_followed());
    for at in 0..2 {
        fleet.answers(at).await;
    }
    fleet.revoke(1, &key).await.expect("it goes on");
    block_in_place(|| {
        primary.kill9();
        let new = fleet.promote();
        fleet.lead_to(&new);
    });
    for at in 0..2 {
        fleet.answers(at).await;
        assert_eq!(fleet.verdict(at, &secret).await.expect("verify"), pb::Verdict::Revoked, "at replica {at}");
        assert_eq!(fleet.verdict(at, &good).await.expect("verify"), pb::Verdict::Valid, "at replica {at}");
    }
    assert_eq!(block_in_place(|| fleet.history_is_whole()), [""; 0]);
}

const REVOKED: &str = "SELECT count(*) FROM api_key WHERE revoke_time IS NOT NULL";
