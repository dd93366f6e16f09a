//! What verifiers may keep, over several replicas.

use std::time::{Duration, Instant};

use portcullis::pb;

use crate::{
    caller,
    fleet::{Fleet, PATIENCE},
    wish::{LEASE, LONGER, Wish},
};

/// A VALID that a verifier may keep, and until when.
async fn keep(fleet: &Fleet, at: usize, secret: &str) -> Instant {
    let asked = Instant::now();
    let answer: pb::VerifyKeyResponse =
        fleet.clients[at].by_token("KeyService/VerifyKey", &caller::verify(secret), PATIENCE).await.expect("verify");
    assert_eq!(answer.verdict(), pb::Verdict::Valid);
    let kept = answer.cache_ttl.and_then(|ttl| Duration::try_from(ttl).ok()).expect("it may be kept");
    assert!(kept > Duration::from_millis(500), "{kept:?} tells nothing");
    asked + kept
}

/// With leases of two kinds, and a replica that dies with what it has promised.
#[tokio::test(flavor = "multi_thread")]
async fn when_a_revocation_returns_no_verifier_keeps_what_any_replica_told_it() {
    let fleet = Fleet::start(&Wish { leases: vec![LEASE, LONGER], ..Wish::default() }).await;
    let application = fleet.make_application(Duration::from_secs(20)).await;
    for dies in [None, Some(1)] {
        let made: pb::CreateKeyResponse = fleet.clients[0]
            .signed("KeyService/CreateKey", &caller::create(&application, "kept"), PATIENCE)
            .await
            .expect("create");
        let mut kept = Instant::now();
        for at in 0..3 {
            kept = kept.max(keep(&fleet, at, &made.secret).await);
        }
        if let Some(dies) = dies {
            tokio::task::block_in_place(|| fleet.replicas[dies].kill());
        }
        fleet.revoke(0, &made.key.expect("key")).await.expect("revoke");
        let left = kept.saturating_duration_since(Instant::now());
        assert_eq!(left, Duration::ZERO, "a verifier says VALID for as long after it, replica {dies:?} dead");
        if let Some(dies) = dies {
            fleet.replicas[dies].start();
            fleet.answers(dies).await;
        }
    }
}
