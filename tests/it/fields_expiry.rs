//! Bad input 33 and 35: when keys end, and whether they may start again.

use portcullis::pb::{self, create_key_request::Expiration};
use prost_types::{Duration, Timestamp};
use tonic::Code;

use crate::{
    fields::{create, ids},
    harness::{Server, mask},
};

const CREATE: &str = "KeyService/CreateKey";
const UPDATE: &str = "KeyService/UpdateKey";
const YEAR_10000: i64 = 253_402_300_800;

fn expire(key: &pb::Key, time: Option<Timestamp>) -> pb::UpdateKeyRequest {
    let key = pb::Key { expire_time: time, ..ids(key) };
    pb::UpdateKeyRequest { key: Some(key), update_mask: mask(&["expire_time"]), wait: 0 }
}

fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

async fn update(server: &Server, request: &pb::UpdateKeyRequest) -> pb::Key {
    let updated: pb::UpdateKeyResponse = server.signed(&server.admin, UPDATE, request).await.expect("update");
    updated.key.expect("key")
}

#[tokio::test]
async fn a_ttl_is_a_second_to_a_hundred_years() {
    let server = Server::start().await;
    let longest = 100 * 366 * 24 * 3600;
    for (seconds, nanos) in [(1, 0), (1, 999_999_999), (longest, 0)] {
        let made = server.key_with(|r| r.expiration = Some(Expiration::Ttl(Duration { seconds, nanos }))).await;
        let expected = at(server.now().seconds() + seconds, nanos / 1000 * 1000);
        assert_eq!(made.key.expect("key").expire_time, Some(expected), "to the microsecond");
    }
    let bad = [
        (0, 0),
        (-1, 0),
        (0, 999_999_999),
        (1, -1),
        (2, -1),
        (1, 1_000_000_000),
        (0, i32::MAX),
        (longest, 1),
        (longest + 1, 0),
        (i64::MAX, 0),
        (i64::MIN, i32::MIN),
    ];
    for (seconds, nanos) in bad {
        let ttl = Some(Expiration::Ttl(Duration { seconds, nanos }));
        let bad = pb::CreateKeyRequest { expiration: ttl, ..create(&server) };
        server.refuses_fields(CREATE, &bad, &["ttl"]).await;
    }
}

#[tokio::test]
async fn an_expire_time_is_ahead_and_before_the_year_10000() {
    let server = Server::start().await;
    let now = server.now().seconds();
    let key = server.key().await.key.expect("key");
    for good in [at(now, 1_000), at(YEAR_10000 - 1, 999_999_000)] {
        let made = server.key_with(|request| request.expiration = Some(Expiration::ExpireTime(good))).await;
        assert_eq!(made.key.expect("key").expire_time, Some(good));
        assert_eq!(update(&server, &expire(&key, Some(good))).await.expire_time, Some(good));
    }
    let bad = [
        at(now, 0),
        at(now, 999),
        at(now - 1, 0),
        at(0, 0),
        at(-1, 0),
        at(now + 60, -1),
        at(now + 60, 1_000_000_000),
        at(YEAR_10000, 0),
        at(i64::MAX, 0),
        at(i64::MIN, i32::MIN),
    ];
    for time in bad {
        let bad = pb::CreateKeyRequest { expiration: Some(Expiration::ExpireTime(time)), ..create(&server) };
        server.refuses_fields(CREATE, &bad, &["expire_time"]).await;
        server.refuses_fields(UPDATE, &expire(&key, Some(time)), &["key.expire_time"]).await;
    }
    assert_eq!(update(&server, &expire(&key, None)).await.expire_time, None, "named in the mask and unset: never");
}

#[tokio::test]
async fn an_expired_key_may_be_extended() {
    let server = Server::start().await;
    let ttl = |request: &mut pb::CreateKeyRequest| {
        request.expiration = Some(Expiration::Ttl(Duration { seconds: 60, nanos: 0 }));
    };
    let made = server.key_with(ttl).await;
    let key = made.key.expect("key");
    server.advance(std::time::Duration::from_micros(59_999_999)).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid, "a microsecond before");
    server.advance(std::time::Duration::from_micros(1)).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Expired, "on the moment");
    // It is a revision that it expired.
    server.settled().await;

    // The whole key sent back with another name: its old expire_time is no new wish.
    let got = pb::GetKeyRequest { application_id: key.application_id.clone(), key_id: key.key_id.clone() };
    let got: pb::GetKeyResponse = server.by_token(&server.admin, "KeyService/GetKey", &got).await.expect("get");
    let read = got.key.expect("key");
    assert_eq!(read.state(), pb::KeyState::Expired);
    let rename = pb::Key { name: "renamed".to_owned(), ..read };
    let renamed = update(&server, &pb::UpdateKeyRequest { key: Some(rename), ..Default::default() }).await;
    assert_eq!((renamed.name.as_str(), renamed.state()), ("renamed", pb::KeyState::Expired));

    let later = at(server.now().seconds() + 3600, 0);
    assert_eq!(update(&server, &expire(&key, Some(later))).await.state(), pb::KeyState::Active);
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
}

#[tokio::test]
async fn a_revoked_key_never_changes_again() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key");
    let revoked = server.revoke(&key).await.key.expect("key");
    let later = Some(at(server.now().seconds() + 3600, 0));
    let precondition = Code::FailedPrecondition;
    server.refuses(&server.admin, UPDATE, &expire(&key, later), precondition, "KEY_REVOKED").await;
    server.refuses(&server.admin, UPDATE, &expire(&key, None), precondition, "KEY_REVOKED").await;
    let enable = pb::UpdateKeyRequest { key: Some(ids(&key)), update_mask: mask(&["disabled"]), wait: 0 };
    server.refuses(&server.admin, UPDATE, &enable, precondition, "KEY_REVOKED").await;
    let nothing = pb::UpdateKeyRequest { key: Some(ids(&key)), update_mask: None, wait: 0 };
    server.refuses(&server.admin, UPDATE, &nothing, precondition, "KEY_REVOKED").await;

    // A second revocation with another reason is OK, and changes nothing.
    server.setup.clock.advance(std::time::Duration::from_secs(1));
    let again = pb::RevokeKeyRequest {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        reason: pb::RevokeReason::Leaked.into(),
        ..Default::default()
    };
    let again: pb::RevokeKeyResponse =
        server.signed(&server.admin, "KeyService/RevokeKey", &again).await.expect("idempotent");
    assert_eq!(again.key, Some(revoked));
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
}
