//! Expiry: exact at Verify, told once and soon, and ended by an update alone.

use std::time::Duration;

use portcullis::{
    clock::Clock,
    pb::{self, KeyState, RevocationCause, Verdict},
};
use tonic::Code;

use crate::harness::{
    Persona, Server, Setup, refusal,
    times::unix_seconds,
    verify::{ttl, update},
    watch::from,
};

const HOUR: i64 = 3600;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// The request that has a key expire so many seconds from now.
fn extend(server: &Server, key: &pb::Key, by: i64) -> pb::UpdateKeyRequest {
    let wish = pb::Key { expire_time: at(server.now().seconds() + by), ..Default::default() };
    update(key, &["expire_time"], wish)
}

async fn extended(server: &Server, by: &Persona, request: &pb::UpdateKeyRequest) -> Result<pb::Key, (Code, String)> {
    let answer: Result<pb::UpdateKeyResponse, _> = server.signed(by, "KeyService/UpdateKey", request).await;
    match answer {
        Ok(updated) => Ok(updated.key.expect("key")),
        Err(status) => Err(refusal::<()>(Err(status))),
    }
}

#[tokio::test]
async fn an_expiry_is_exact_at_verify_and_told_once() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let made = server.key_with(|request| request.expiration = ttl(100)).await;
    let key = made.key.expect("key");
    server.advance(Duration::from_micros(99_999_999)).await;
    server.settled().await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Valid, "to the last microsecond");
    let before = server.rows().await;
    server.advance(Duration::from_micros(1)).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Expired, "whether or not a job was there");
    server.settled().await;
    let (told, _) = watch.revocation().await;
    assert_eq!((told.cause(), &told.key_id), (RevocationCause::Expired, &key.key_id));
    assert_eq!(unix_seconds(told.time), server.now().seconds(), "at that moment");
    let audit = server.last_audit().await;
    assert_eq!((audit.method.as_str(), audit.outcome.as_str(), audit.account), ("jobs/keys", "OK", None));
    let found = server.get_key(&key.key_id).await;
    assert_eq!((found.state(), found.revision), (KeyState::Expired, told.revision));

    for _ in 0..3 {
        server.pass(1000).await;
    }
    let server = server.restart().await;
    server.settled().await;
    let rows = server.rows().await;
    assert_eq!(
        (rows.revision, rows.audits),
        (before.revision + 1, before.audits + 1),
        "one event, also after a restart"
    );
    assert_eq!(server.told(&key).await, ["created", "expired"]);
}

#[tokio::test]
async fn the_event_of_an_expiry_is_there_within_a_second() {
    let server = Server::start_with(Setup { clock: Clock::system(), ..Setup::default() }).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let mut late = Vec::new();
    for _ in 0..5 {
        let key = server.key_with(|request| request.expiration = ttl(1)).await.key.expect("key");
        let expires = key.expire_time.expect("a time");
        let (told, _) = watch.revocation().await;
        let now = server.now().micros();
        assert_eq!((told.cause(), told.key_id), (RevocationCause::Expired, key.key_id));
        late.push(now - (expires.seconds * 1_000_000 + i64::from(expires.nanos / 1000)));
    }
    late.sort_unstable();
    println!("told after {late:?} microseconds");
    assert!(late[0] > 0 && late[2] < 1_000_000, "the median is within a second: {late:?}");
}

#[tokio::test]
async fn an_expired_key_is_extended_only_by_who_may_create_it() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(100)).await;
    let key = made.key.expect("key");
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:read"]).await;
    let poor = server.admin.hire_role(&server, 2, pb::Role::Editor, &["other:read"]).await;
    let viewer = server.admin.hire_role(&server, 3, pb::Role::Viewer, &["tasks:read"]).await;
    server.pass(100).await;

    let request = extend(&server, &key, HOUR);
    let refused = |reason: &str| Err((Code::PermissionDenied, reason.to_owned()));
    assert_eq!(extended(&server, &viewer, &request).await, refused("ROLE_MISSING"));
    assert_eq!(extended(&server, &poor, &request).await, refused("GRANT_EXCEEDED"));
    for name in ["name", "disabled"] {
        // What does not wake it, anybody may set who edits.
        let wish = pb::Key { name: "renamed".to_owned(), disabled: true, ..Default::default() };
        let changed = extended(&server, &poor, &update(&key, &[name], wish)).await.expect("update");
        assert_eq!(changed.state(), KeyState::Expired);
    }
    let lifted = update(&key, &["disabled"], pb::Key::default());
    assert_eq!(extended(&server, &poor, &lifted).await.expect("update").state(), KeyState::Expired);
    assert_eq!(server.verdict(&made.secret).await, Verdict::Expired);

    let woken = extended(&server, &editor, &request).await.expect("extended");
    assert_eq!(woken.state(), KeyState::Active);
    assert_eq!(server.verdict(&made.secret).await, Verdict::Valid);
    server.pass(3600).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Expired);
    let told = server.told(&key).await;
    assert_eq!(told.iter().filter(|kind| *kind == "expired").count(), 2, "each end is told: {told:?}");
}

#[tokio::test]
async fn a_clock_that_jumps_an_hour_either_way_wakes_nothing_and_tells_nothing_twice() {
    let server = Server::start().await;
    let soon = server.key_with(|request| request.expiration = ttl(1800)).await;
    let later = server.key_with(|request| request.expiration = ttl(3 * 3600)).await;
    let keys = [soon.key.expect("key"), later.key.expect("key")];
    server.setup.clock.step(3600 * 1_000_000);
    server.pass(1).await;
    assert_eq!(server.verdict(&soon.secret).await, Verdict::Expired);
    let revision = server.rows().await.revision;

    server.setup.clock.step(-3600 * 1_000_000);
    let server = server.restart().await;
    server.settled().await;
    assert_eq!(server.verdict(&soon.secret).await, Verdict::Expired, "it was told, and stays so");
    assert_eq!(server.verdict(&later.secret).await, Verdict::Valid);
    server.pass(1800).await;
    assert_eq!(server.rows().await.revision, revision, "nothing is done twice");
    assert_eq!(server.told(&keys[0]).await, ["created", "expired"]);

    extended(&server, &server.admin, &extend(&server, &keys[0], HOUR)).await.expect("extended");
    assert_eq!(server.verdict(&soon.secret).await, Verdict::Valid, "but an update wakes it");
    server.pass(3600 + 1).await;
    assert_eq!(server.told(&keys[0]).await, ["created", "expired", "updated", "expired"]);
    server.pass(2 * 3600).await;
    assert_eq!(server.told(&keys[1]).await, ["created", "expired"]);
}

#[tokio::test]
async fn an_expiry_is_told_30_7_and_1_days_ahead_as_far_as_the_life_is_longer() {
    const DAY: i64 = 24 * HOUR;
    let server = Server::start().await;
    let mut keys = Vec::new();
    for days in [100, 30, 8, 7, 1] {
        let made = server.key_with(|request| request.expiration = ttl(days * DAY)).await;
        keys.push((days, made.key.expect("key")));
    }
    let mut told = Vec::new();
    for day in 0..100 {
        for (days, key) in &keys {
            let count = server.told(key).await.iter().filter(|kind| *kind == "expiring expiry").count();
            told.push((*days, count, day));
        }
        server.pass(24 * 3600).await;
    }
    let days_told = |days: i64| {
        let counts: Vec<_> = told.iter().filter(|(of, ..)| *of == days).map(|(_, count, day)| (*count, *day)).collect();
        counts.windows(2).filter(|pair| pair[1].0 > pair[0].0).map(|pair| days - pair[1].1).collect::<Vec<_>>()
    };
    assert_eq!(days_told(100), [30, 7, 1]);
    assert_eq!(days_told(30), [7, 1]);
    assert_eq!(days_told(8), [7, 1]);
    assert_eq!(days_told(7), [1]);
    assert_eq!(days_told(1), Vec::<i64>::new());
    let first = server.all_told().await.into_iter().find(|told| told.kind == "key.expiring").expect("told");
    assert_eq!(first.data["due"], "expiry");
}
