//! A replica that does not reach its database: what it answers, for how long, and what it says of
//! what it has begun.

use std::time::{Duration, Instant};

use portcullis::pb::{self, watch_revocations_response::Item};
use prost::Message as _;
use tokio::task::block_in_place;
use tonic::Code;

use crate::{
    caller::{self, reason},
    fleet::{Fleet, PATIENCE},
    wish::{LEASE, WAIT, Wish},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_cut_off_answers_for_a_lease_and_comes_back_by_itself() {
    let fleet = Fleet::start(&Wish { replicas: 1, standby: None, ..Wish::default() }).await;
    let (_, secret) = fleet.key().await;
    for cut in [false, true] {
        let begun = Instant::now();
        if cut {
            fleet.replicas[0].proxy.cut()
        } else {
            fleet.replicas[0].proxy.hold()
        }
        let mut last = Duration::ZERO;
        let refused = loop {
            let sent = begun.elapsed();
            match fleet.verdict(0, &secret).await {
                Ok(verdict) => assert_eq!(verdict, pb::Verdict::Valid),
                Err(status) => break status,
            }
            last = sent;
            assert!(sent < WAIT, "VALID, {sent:?} after it was cut off");
        };
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "FRESHNESS_UNPROVEN"));
        println!("cut off: the last answer was asked for {last:?} later, of a lease of {LEASE:?}");
        let healed = Instant::now();
        fleet.heal();
        fleet.answers(0).await;
        println!("and again: {:?} after it was let in", healed.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_confirmed_in_time_is_said_to_be_done_and_a_repeat_waits_again() {
    let fleet = Fleet::start(&Wish { standby: None, ..Wish::pair() }).await;
    let (key, secret) = fleet.key().await;
    fleet.knows(1, &secret).await;
    fleet.replicas[1].proxy.hold();
    let hurried = fleet.revoke_within(0, &key, LEASE / 4).await.expect_err("the other one answers by what was");
    assert_eq!((hurried.code(), reason(&hurried).as_str()), (Code::Unavailable, "COMMITTED_NOT_CONFIRMED"));
    assert_eq!(fleet.verdict(0, &secret).await.expect("verify"), pb::Verdict::Revoked);
    assert_eq!(fleet.verdict(1, &secret).await.expect("its lease holds"), pb::Verdict::Valid);
    fleet.revoke(0, &key).await.expect("a repeat");
    let verdict = fleet.verdict(1, &secret).await;
    assert!(!matches!(verdict, Ok(pb::Verdict::Valid)), "VALID after the repeat had returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_goes_on_at_a_replica_that_is_a_little_behind() {
    let fleet = Fleet::start(&Wish { standby: None, ..Wish::pair() }).await;
    let (key, _) = fleet.key().await;
    let mut first = open(&fleet, 0, "").await;
    let (bookmark, _) = next(&mut first).await;
    assert!(matches!(bookmark, Item::Bookmark(_)));
    fleet.replicas[1].proxy.hold();
    let request = caller::revoke(&key, pb::RevokeWait::None);
    let _: pb::RevokeKeyResponse =
        fleet.clients[0].signed("KeyService/RevokeKey", &request, PATIENCE).await.expect("revoke");
    let (told, token) = loop {
        if let (Item::Revocation(told), token) = next(&mut first).await {
            break (told, token);
        }
    };
    assert_eq!(told.key_id, key.key_id);
    // It has not heard of it yet, and hears of it a moment later.
    let resumed = tokio::spawn({
        let client = fleet.clients[1].clone();
        async move { client.stream("KeyService/WatchRevocations", &from(&token)).await }
    });
    tokio::time::sleep(LEASE / 4).await;
    fleet.heal();
    let mut resumed = resumed.await.expect("a task").expect("it is the same history");
    let (item, _) = next(&mut resumed).await;
    assert!(matches!(item, Item::Bookmark(mark) if mark.revision >= told.revision), "what was told is not told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_told_to_end_before_it_has_begun_ends_at_once() {
    let fleet = Fleet::start(&Wish { replicas: 1, standby: None, ..Wish::default() }).await;
    let replica = &fleet.replicas[0];
    block_in_place(|| replica.kill());
    replica.proxy.hold();
    replica.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let ended = block_in_place(|| replica.end()).expect("it was there");
    assert!(ended.success() && begun.elapsed() < Duration::from_secs(5), "{ended}, {:?}", begun.elapsed());
}

fn from(resume_token: &str) -> pb::WatchRevocationsRequest {
    pb::WatchRevocationsRequest { resume_token: resume_token.to_owned(), ..Default::default() }
}

async fn open(fleet: &Fleet, at: usize, token: &str) -> tonic::Streaming<bytes::Bytes> {
    fleet.clients[at].stream("KeyService/WatchRevocations", &from(token)).await.expect("watch")
}

async fn next(stream: &mut tonic::Streaming<bytes::Bytes>) -> (Item, String) {
    let item = tokio::time::timeout(PATIENCE, stream.message()).await.expect("silence").expect("a living stream");
    let response = pb::WatchRevocationsResponse::decode(item.expect("not ended")).expect("an item");
    (response.item.expect("an item"), response.resume_token)
}
