//! Usage over a chain: how much there is, and who still uses the old key.

use std::time::Duration;

use portcullis::pb::{self, Verdict};

use crate::harness::{
    Server,
    rotate::{HOUR, Pair},
    verify::about,
};

async fn verify(server: &Server, secret: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(server.verdict(secret).await, Verdict::Valid);
    }
}

async fn deny(server: &Server, secret: &str) {
    let request = pb::VerifyKeyRequest { required_permissions: vec!["a:b".to_owned()], ..about(secret) };
    assert_eq!(server.verdict_on(&request).await, Verdict::PermissionMissing);
    let dry = pb::VerifyKeyRequest { dry_run: true, ..request };
    server.verdict_on(&dry).await;
}

async fn rotated(server: &Server, overlap: i64) -> (String, Pair) {
    let made = server.key().await;
    let pair = server.rotate(made.key.as_ref().expect("key"), overlap).await;
    (made.secret, pair)
}

fn share(key: &pb::Key, requests: i64, denied: i64, last: Option<i64>) -> pb::KeyShare {
    let last_used_time = last.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
    pb::KeyShare { key_id: key.key_id.clone(), requests, denied, last_used_time }
}

#[tokio::test]
async fn usage_is_the_chains_and_tells_which_key_it_came_by() {
    let server = Server::start().await;
    let (old, pair) = rotated(&server, HOUR).await;
    let begun = server.now().seconds();
    verify(&server, &old, 3).await;
    server.advance(Duration::from_secs(1)).await;
    verify(&server, &pair.secret, 2).await;
    deny(&server, &pair.secret).await;
    verify(&server, &server.key().await.secret, 1).await;
    for key in [&pair.old, &pair.new] {
        let usage = server.usage(&key.key_id).await;
        assert_eq!((usage.requests, usage.denied, usage.points.len()), (6, 1, 1));
        assert_eq!((usage.points[0].requests, usage.points[0].denied), (6, 1));
        let denied_by = pb::DeniedBy { verdict: Verdict::PermissionMissing.into(), requests: 1 };
        assert_eq!((&usage.denied_by, &usage.points[0].denied_by), (&vec![denied_by], &vec![denied_by]));
        let by_key = [share(&pair.new, 3, 1, Some(begun + 1)), share(&pair.old, 3, 0, Some(begun))];
        assert_eq!(usage.by_key, by_key, "newest first");
        let last = if key == &pair.old { begun } else { begun + 1 };
        assert_eq!(usage.last_used_time.expect("used").seconds, last, "its own");
        let shown = server.used_key(&key.key_id).await;
        let counted = pb::KeyUsage { requests_today: 6, requests_this_month: 6, denied_today: 1 };
        assert_eq!((shown.usage, shown.last_used_time.expect("used").seconds), (Some(counted), last));
    }
    let application = server.usage("").await;
    assert_eq!((application.requests, application.by_key, application.rotation), (7, vec![], None));
    let update = server.update(&pair.old, &["name"], pb::Key { name: "x".to_owned(), ..Default::default() }).await;
    assert_eq!(update.key.expect("key").usage.expect("used").requests_today, 6);
    let again = server.rotate(&pair.new, HOUR).await;
    assert_eq!(again.new.usage.expect("its chain was used").requests_today, 6);
    assert_eq!((again.new.last_used_time, again.old.last_used_time.expect("used").seconds), (None, begun + 1));
}

#[tokio::test]
async fn a_rotation_tells_how_much_is_still_on_the_old_key_and_when_it_is_safe_to_end() {
    let server = Server::start().await;
    let (old, pair) = rotated(&server, 48 * HOUR).await;
    let rotation = async |key: &pb::Key| server.usage(&key.key_id).await.rotation.expect("a rotation");
    assert!(rotation(&pair.old).await.safe_to_end, "nobody ever used it");
    verify(&server, &old, 2).await;
    verify(&server, &pair.secret, 5).await;
    let used = server.now().seconds();
    let expected = pb::Rotation {
        old_key_id: pair.old.key_id.clone(),
        new_key_id: pair.new.key_id.clone(),
        overlap_end_time: pair.old.overlap_end_time,
        old_requests: 2,
        new_requests: 5,
        last_used_time: Some(prost_types::Timestamp { seconds: used, nanos: 0 }),
        safe_to_end: false,
    };
    for key in [&pair.old, &pair.new] {
        assert_eq!(rotation(key).await, expected);
    }
    server.advance(Duration::from_hours(24) - Duration::from_micros(1)).await;
    deny(&server, &old).await;
    assert!(!rotation(&pair.old).await.safe_to_end);
    server.advance(Duration::from_micros(1)).await;
    assert!(rotation(&pair.new).await.safe_to_end, "for 24 hours nobody was admitted by it");
    server.advance(Duration::from_hours(23)).await;
    verify(&server, &old, 1).await;
    assert!(!rotation(&pair.new).await.safe_to_end, "somebody still is");
    server.advance(Duration::from_hours(1)).await;
    assert!(rotation(&pair.old).await.safe_to_end, "it has ended");
    assert_eq!(server.usage(&pair.new.key_id).await.rotation, None, "and is nobody's business any more");
}

#[tokio::test]
async fn in_a_longer_chain_each_key_tells_of_its_own_rotation() {
    let server = Server::start().await;
    let (first, one) = rotated(&server, 48 * HOUR).await;
    let two = server.rotate(&one.new, 48 * HOUR).await;
    verify(&server, &first, 1).await;
    verify(&server, &two.secret, 2).await;
    let pair = async |key: &pb::Key| {
        let rotation = server.usage(&key.key_id).await.rotation.expect("a rotation");
        (rotation.old_key_id, rotation.new_key_id)
    };
    let ids = [&one.old, &one.new, &two.new].map(|key| key.key_id.clone());
    assert_eq!(pair(&one.old).await, (ids[0].clone(), ids[1].clone()));
    assert_eq!(pair(&one.new).await, (ids[1].clone(), ids[2].clone()), "it was rotated itself");
    assert_eq!(pair(&two.new).await, (ids[1].clone(), ids[2].clone()));
    let by_key = server.usage(&one.new.key_id).await.by_key;
    let told: Vec<_> = by_key.iter().map(|share| (share.key_id.clone(), share.requests)).collect();
    assert_eq!(told, [(ids[2].clone(), 2), (ids[1].clone(), 0), (ids[0].clone(), 1)], "those that have not ended");
    server.advance(Duration::from_hours(48)).await;
    let later = server.usage_with(&ids[0], |usage| usage.start_time = server.ahead(-HOUR)).await;
    let told: Vec<_> = later.by_key.iter().map(|share| share.key_id.as_str()).collect();
    assert_eq!(told, [ids[2].as_str()], "and those that were called in the range");
    assert!(later.rotation.expect("of the key that was asked about").safe_to_end);
}

#[tokio::test]
async fn unused_is_said_of_each_key_by_itself() {
    let server = Server::start().await;
    let (_, pair) = rotated(&server, 365 * 24 * HOUR).await;
    server.advance(Duration::from_hours(24 * 91)).await;
    verify(&server, &pair.secret, 1).await;
    assert!(server.used_key(&pair.old.key_id).await.unused, "its callers have moved");
    assert!(!server.used_key(&pair.new.key_id).await.unused);
}

#[tokio::test]
async fn a_page_of_rotated_keys_costs_as_many_statements_as_a_page_of_one() {
    let server = Server::start().await;
    for _ in 0..5 {
        let (old, one) = rotated(&server, HOUR).await;
        let two = server.rotate(&one.new, HOUR).await;
        for secret in [&old, &one.secret, &two.secret] {
            verify(&server, secret, 1).await;
        }
    }
    server.flush().await;
    let cost = async |page_size: i32| {
        let before = server.store().statements();
        let request = pb::ListKeysRequest { application_id: server.app.clone(), page_size, ..Default::default() };
        let page: pb::ListKeysResponse =
            server.by_token(&server.admin, "KeyService/ListKeys", &request).await.expect("list");
        assert!(page.keys.iter().all(|key| key.usage.is_some_and(|usage| usage.requests_today == 3)));
        server.store().statements() - before
    };
    let (one, many) = (cost(1).await, cost(15).await);
    assert_eq!(one, many);
    let usage = async |key_id: &str| {
        let before = server.store().statements();
        server.usage(key_id).await;
        server.store().statements() - before
    };
    let key = server.key().await.key.expect("key");
    let alone = usage(&key.key_id).await;
    let one = server.rotate(&key, HOUR).await;
    let two = server.rotate(&one.new, HOUR).await;
    assert_eq!(usage(&two.new.key_id).await, alone);
}
