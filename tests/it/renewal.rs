//! Auto-renewal: the lifetime once more, in time, and never of what has ended.

use portcullis::pb::{self, KeyState, Verdict};
use tonic::Code;

use crate::harness::{
    Server,
    times::unix_seconds,
    verify::{ttl, update},
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

async fn renewing(server: &Server, seconds: i64) -> (pb::Key, String) {
    let made = server
        .key_with(|request| {
            request.expiration = ttl(seconds);
            request.auto_renew = true;
        })
        .await;
    (made.key.expect("key"), made.secret)
}

fn unsigned(seconds: i64) -> u64 {
    seconds.try_into().expect("positive")
}

#[tokio::test]
async fn a_renewal_adds_the_first_lifetime_7_days_ahead_and_is_told_30_days_ahead() {
    let server = Server::start().await;
    let (key, secret) = renewing(&server, 90 * DAY).await;
    let first = unix_seconds(key.expire_time);
    let mut log = Vec::new();
    for day in 1..=180 {
        let before = server.told(&key).await.len();
        server.pass(24 * 3600).await;
        log.extend(server.told(&key).await.split_off(before).into_iter().map(|kind| (day, kind)));
        assert_eq!(server.verdict(&secret).await, Verdict::Valid, "on day {day}");
        server.flush().await; // or it may have been used 90 days ago, for all that is written
    }
    let expected = [(60, "expiring renewal"), (83, "renewed"), (150, "expiring renewal"), (173, "renewed")];
    assert_eq!(log, expected.map(|(day, kind)| (day, kind.to_owned())));
    let renewed = server.get_key(&key.key_id).await;
    assert_eq!(unix_seconds(renewed.expire_time), first + 2 * 90 * DAY);
    let told: Vec<_> = server.all_told().await.into_iter().filter(|told| told.kind == "key.expiring").collect();
    assert_eq!(told[0].data["due_time"], rfc3339(first - 7 * DAY), "when it is renewed");
    assert_eq!(server.last_audit().await.method, "jobs/keys");
}

fn rfc3339(seconds: i64) -> String {
    portcullis::domain::time::Timestamp::from_seconds(seconds).to_string()
}

#[tokio::test]
async fn what_lives_less_than_an_hour_is_not_renewed() {
    let server = Server::start().await;
    let refused = (Code::InvalidArgument, "FIELD_INVALID");
    let request = |seconds| pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".to_owned(),
        expiration: ttl(seconds),
        auto_renew: true,
        ..Default::default()
    };
    server.refuses(&server.admin, "KeyService/CreateKey", &request(HOUR - 1), refused.0, refused.1).await;
    let (key, _) = renewing(&server, HOUR).await;
    let rotation = pb::RotateKeyRequest {
        application_id: key.application_id,
        key_id: key.key_id,
        expiration: Some(pb::rotate_key_request::Expiration::Ttl(prost_types::Duration { seconds: 60, nanos: 0 })),
        ..Default::default()
    };
    server.refuses(&server.admin, "KeyService/RotateKey", &rotation, refused.0, refused.1).await;
    let short = server.key_with(|request| request.expiration = ttl(HOUR - 1)).await.key.expect("key");
    let wish = update(&short, &["auto_renew"], pb::Key { auto_renew: true, ..Default::default() });
    server.refuses(&server.admin, "KeyService/UpdateKey", &wish, refused.0, refused.1).await;
}

#[tokio::test]
async fn a_short_life_is_renewed_when_a_tenth_of_it_is_left() {
    let server = Server::start().await;
    let (key, secret) = renewing(&server, 10 * HOUR).await;
    let first = unix_seconds(key.expire_time);
    server.pass(unsigned(9 * HOUR) - 1).await;
    assert_eq!(unix_seconds(server.get_key(&key.key_id).await.expire_time), first);
    server.pass(1).await;
    assert_eq!(unix_seconds(server.get_key(&key.key_id).await.expire_time), first + 10 * HOUR);
    assert_eq!(server.told(&key).await, ["created", "expiring renewal", "renewed"], "told at half its life");
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
}

#[tokio::test]
async fn after_downtime_what_still_lives_is_renewed_once_and_what_has_expired_is_not() {
    let server = Server::start().await;
    let (long, long_secret) = renewing(&server, 90 * DAY).await;
    let (short, short_secret) = renewing(&server, 80 * DAY).await;
    let first = unix_seconds(long.expire_time);
    let server = server.restart_after(async |clock, _| clock.advance(std::time::Duration::from_hours(85 * 24))).await;
    assert_eq!(server.verdict(&short_secret).await, Verdict::Expired, "whoever asks before a job has run");
    server.settled().await;
    assert_eq!(server.told(&short).await, ["created", "expired"], "what everybody was told is not taken back");
    assert_eq!(server.verdict(&short_secret).await, Verdict::Expired);
    assert_eq!(server.told(&long).await, ["created", "renewed"], "and not told ahead of what is past");
    assert_eq!(unix_seconds(server.get_key(&long.key_id).await.expire_time), first + 90 * DAY);
    assert_eq!(server.verdict(&long_secret).await, Verdict::Valid);
}

#[tokio::test]
async fn a_disabled_key_is_not_renewed_until_it_is_enabled() {
    let server = Server::start().await;
    let (key, secret) = renewing(&server, 90 * DAY).await;
    let first = unix_seconds(key.expire_time);
    server.update(&key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
    server.pass(unsigned(85 * DAY)).await;
    assert_eq!(unix_seconds(server.get_key(&key.key_id).await.expire_time), first, "nobody uses it");
    server.update(&key, &["disabled"], pb::Key::default()).await;
    server.settled().await;
    assert_eq!(unix_seconds(server.get_key(&key.key_id).await.expire_time), first + 90 * DAY);
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);

    server.update(&key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
    server.pass(unsigned(100 * DAY)).await;
    assert_eq!(server.get_key(&key.key_id).await.state(), KeyState::Expired);
}

#[tokio::test]
async fn an_end_that_is_brought_nearer_is_not_put_off_a_moment_later() {
    let server = Server::start().await;
    let (key, _) = renewing(&server, 90 * DAY).await;
    let soon = server.now().seconds() + HOUR;
    let expire_time = Some(prost_types::Timestamp { seconds: soon, nanos: 0 });
    let wish = pb::Key { expire_time, ..Default::default() };
    let request = update(&key, &["expire_time"], wish.clone());
    server.refuses_fields("KeyService/UpdateKey", &request, &["key.expire_time"]).await;
    let status = server.try_update(&key, &["expire_time"], wish.clone()).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("set auto_renew to false with it"), "{}", status.message());
    server.update(&key, &["expire_time", "auto_renew"], wish).await;
    server.pass(unsigned(HOUR)).await;
    assert_eq!(server.get_key(&key.key_id).await.state(), KeyState::Expired);
}

#[tokio::test]
async fn to_renew_is_to_grant() {
    let server = Server::start().await;
    let key = server.key_with(|request| request.expiration = ttl(90 * DAY)).await.key.expect("key");
    let poor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["other:read"]).await;
    let wish = update(&key, &["auto_renew"], pb::Key { auto_renew: true, ..Default::default() });
    server.refuses(&poor, "KeyService/UpdateKey", &wish, Code::PermissionDenied, "GRANT_EXCEEDED").await;
}

#[tokio::test]
async fn a_clock_that_jumps_an_hour_either_way_renews_and_rotates_once() {
    let server = Server::start().await;
    let account = pb::ServiceAccount { name: "service".to_owned(), all_applications: true, ..Default::default() };
    let service = server.admin.hire(&server, 1, account).await;
    // Both are due in a day: a tenth of the life is left then.
    let (renewing, secret) = renewing(&server, DAY * 10 / 9).await;
    let rotating = server.key_with(|request| {
        request.rotation_period = Some(prost_types::Duration { seconds: DAY, nanos: 0 });
        request.rotation_recipient_kid = service.kid();
    });
    let rotating = rotating.await;
    let old = rotating.key.expect("key");
    server.pass(unsigned(DAY - HOUR / 2)).await;
    let before = server.rows().await;
    let is_due = async |server: &Server| {
        let (renewed, rotated) = (server.get_key(&renewing.key_id).await, server.get_key(&old.key_id).await);
        (unix_seconds(renewed.expire_time), rotated.rotated_to)
    };
    assert_eq!(is_due(&server).await, (unix_seconds(renewing.expire_time), String::new()), "not yet");

    server.setup.clock.step(HOUR * 1_000_000);
    server.pass(1).await;
    let (expires, successor) = is_due(&server).await;
    assert_eq!(expires, unix_seconds(renewing.expire_time) + DAY * 10 / 9);
    assert_ne!(successor, "");
    let told = async |server: &Server| (server.told(&renewing).await, server.told(&old).await);
    let (first, revision) = (told(&server).await, server.rows().await.revision);
    assert_eq!(revision, before.revision + 1);
    assert_eq!((first.0.last(), first.1.last()), (Some(&"renewed".to_owned()), Some(&"rotated".to_owned())));

    server.setup.clock.step(-HOUR * 1_000_000);
    let server = server.restart().await;
    server.settled().await;
    // Until it is due once more, and an hour beyond.
    for _ in 0..4 {
        server.pass(unsigned(HOUR / 2)).await;
        assert_eq!(is_due(&server).await, (expires, successor.clone()));
        assert_eq!(told(&server).await, first, "nothing is done or told twice");
        assert_eq!(server.verdict(&secret).await, Verdict::Valid);
        assert_eq!(server.verdict(&rotating.secret).await, Verdict::Valid, "nobody fetched the new secret");
    }
    assert_eq!(server.rows().await.revision, revision);
    assert_eq!(server.get_key(&successor).await.rotated_to, "");
}
