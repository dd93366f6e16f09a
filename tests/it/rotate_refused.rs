//! What is not rotated, and by whom not.

use std::sync::Arc;

use portcullis::pb::{self, Verdict, rotate_key_request::Expiration};
use tonic::Code;

use crate::harness::{
    Server, refusal,
    rotate::{HOUR, ROTATE, rotation, rotation_with},
    times::seconds,
    uuid,
    verify::ttl,
};

/// The id that a refusal names.
async fn named(server: &Server, request: &pb::RotateKeyRequest, code: Code, reason: &str) -> String {
    let before = server.revision().await;
    let status = server.try_rotate(&server.admin, request).await.expect_err("refused");
    let details = tonic_types::StatusExt::get_error_details(&status);
    let id = details.error_info().expect("info").metadata["key_id"].clone();
    assert_eq!(refusal::<()>(Err(status)), (code, reason.to_owned()));
    assert_eq!(server.revision().await, before, "nothing is written");
    id
}

#[tokio::test]
async fn ten_keys_of_a_chain_are_good_at_once_and_no_more() {
    let server = Server::start().await;
    let first = server.key().await;
    let mut newest = first.key.expect("key");
    for overlap in 2..=10 {
        newest = server.rotate(&newest, overlap * HOUR).await.new;
    }
    let many = (Code::FailedPrecondition, "TOO_MANY_OVERLAPS");
    server.refuses(&server.admin, ROTATE, &rotation(&newest), many.0, many.1).await;
    assert_eq!(server.verdict(&first.secret).await, Verdict::Valid, "all of them");
    server.pass(2 * 3600).await;
    server.rotate(&newest, HOUR).await;
}

#[tokio::test]
async fn only_the_newest_key_of_a_chain_rotates_and_others_are_told_which_it_is() {
    let server = Server::start().await;
    let first = server.key().await.key.expect("key");
    let one = server.rotate(&first, 2 * HOUR).await;
    let two = server.rotate(&one.new, HOUR).await;
    let refused = (Code::FailedPrecondition, "KEY_ALREADY_ROTATED");
    for key in [&first, &one.new] {
        assert_eq!(named(&server, &rotation(key), refused.0, refused.1).await, two.new.key_id);
    }
    server.revoke(&two.new).await;
    assert_eq!(named(&server, &rotation(&first), refused.0, refused.1).await, two.new.key_id, "revoked or not");
    let revoked = (Code::FailedPrecondition, "KEY_REVOKED");
    server.refuses(&server.admin, ROTATE, &rotation(&two.new), revoked.0, revoked.1).await;
    server.pass(2 * 3600).await;
    for key in [&first, &one.new] {
        server.refuses(&server.admin, ROTATE, &rotation(key), revoked.0, revoked.1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_rotate_a_key_at_once_one_does_and_the_others_hear_of_it() {
    let server = Arc::new(Server::start().await);
    let key = server.key().await.key.expect("key");
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (server, request) = (Arc::clone(&server), rotation(&key));
        callers.spawn(async move { server.try_rotate(&server.admin, &request).await });
    }
    let (made, refused): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().partition(Result::is_ok);
    let made: Vec<_> = made.into_iter().flatten().filter_map(|told| told.key).map(|key| key.key_id).collect();
    assert_eq!((made.len(), refused.len()), (1, 7));
    for answer in refused {
        let status = answer.expect_err("refused");
        let details = tonic_types::StatusExt::get_error_details(&status);
        assert_eq!(details.error_info().expect("info").metadata["key_id"], made[0]);
        assert_eq!(refusal::<()>(Err(status)).1, "KEY_ALREADY_ROTATED");
    }
    assert_eq!(server.get_key(&key.key_id).await.rotated_to, made[0]);
}

#[tokio::test]
async fn a_request_id_makes_one_successor_whose_id_every_repeat_is_told() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let request = pb::RotateKeyRequest { request_id: uuid(), ..rotation_with(&key, 0) };
    let pair = server.rotate_with(&request).await;
    let exists = (Code::AlreadyExists, "SECRET_ALREADY_RETURNED");
    assert_eq!(named(&server, &request, exists.0, exists.1).await, pair.new.key_id);
    let changed = pb::RotateKeyRequest { overlap: seconds(1), ..request.clone() };
    server.refuses(&server.admin, ROTATE, &changed, Code::InvalidArgument, "REQUEST_ID_REUSED").await;
    let create = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".to_owned(),
        request_id: request.request_id.clone(),
        ..Default::default()
    };
    let method = "KeyService/CreateKey";
    server.refuses(&server.admin, method, &create, Code::InvalidArgument, "REQUEST_ID_REUSED").await;
    let server = server.restart().await;
    assert_eq!(named(&server, &request, exists.0, exists.1).await, pair.new.key_id);
    let again = server.rotate(&pair.new, 0).await;
    assert_eq!(server.verdict(&again.secret).await, Verdict::Valid, "so its secret is had after all");
}

#[tokio::test]
async fn a_refused_rotation_does_not_use_its_request_id_up() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let stale = pb::RotateKeyRequest { request_id: uuid(), etag: "stale".to_owned(), ..rotation(&key) };
    server.refuses(&server.admin, ROTATE, &stale, Code::Aborted, "ETAG_MISMATCH").await;
    server.rotate_with(&pb::RotateKeyRequest { etag: key.etag.clone(), ..stale }).await;
}

#[tokio::test]
async fn who_rotates_must_be_able_to_grant_all_that_the_key_holds() {
    let server = Server::start().await;
    let key = server.key_with(|request| request.permissions.push("users:read".to_owned())).await.key.expect("key");
    let poor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    server.refuses(&poor, ROTATE, &rotation(&key), Code::PermissionDenied, "GRANT_EXCEEDED").await;
    let rich = server.admin.hire_role(&server, 2, pb::Role::Editor, &["tasks:*", "users:read"]).await;
    server.try_rotate(&rich, &rotation(&key)).await.expect("rotate");
}

#[tokio::test]
async fn a_key_is_rotated_in_its_own_application_and_by_who_may_act_there() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let application = Some(pb::Application { name: "other".to_owned(), ..Default::default() });
    let request = pb::CreateApplicationRequest { application, ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = other.application.expect("application").application_id;
    let elsewhere = pb::RotateKeyRequest { application_id: other.clone(), ..rotation(&key) };
    server.refuses(&server.admin, ROTATE, &elsewhere, Code::NotFound, "KEY_NOT_FOUND").await;
    let account = pb::ServiceAccount {
        name: "bound".to_owned(),
        roles: vec![pb::Role::Editor.into()],
        application_ids: vec![other],
        grantable_permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    };
    let bound = server.admin.hire(&server, 1, account).await;
    server.refuses(&bound, ROTATE, &rotation(&key), Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE").await;
    server.refuses(&bound, ROTATE, &elsewhere, Code::NotFound, "KEY_NOT_FOUND").await;
    let viewer = server.admin.hire_role(&server, 2, pb::Role::Viewer, &["*"]).await;
    server.refuses(&viewer, ROTATE, &rotation(&key), Code::PermissionDenied, "ROLE_MISSING").await;
}

#[tokio::test]
async fn an_expired_key_rotates_with_a_new_expiration_only() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(60)).await;
    let key = made.key.expect("key");
    server.pass(60).await;
    server.refuses_fields(ROTATE, &rotation(&key), &["expire_time"]).await;
    let expiration = Some(Expiration::Ttl(prost_types::Duration { seconds: 100, nanos: 0 }));
    let pair = server.rotate_with(&pb::RotateKeyRequest { expiration, ..rotation(&key) }).await;
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Valid);
    assert_eq!((pair.old.state(), pair.old.overlap_end_time), (pb::KeyState::Revoked, server.ahead(0)));
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let bad = pb::RotateKeyRequest {
        application_id: "app".to_owned(),
        key_id: String::new(),
        overlap: seconds(-1),
        expiration: Some(Expiration::Ttl(prost_types::Duration::default())),
        etag: String::new(),
        request_id: "x".to_owned(),
        wait: 99,
    };
    let all = ["application_id", "key_id", "overlap", "request_id", "ttl", "wait"];
    server.refuses_fields(ROTATE, &bad, &all).await;
    for overlap in [365 * 24 * HOUR + 1, i64::MAX, i64::MIN] {
        server.refuses_fields(ROTATE, &rotation_with(&key, overlap), &["overlap"]).await;
    }
    for past in [0, -1] {
        let expiration = Some(Expiration::ExpireTime(server.ahead(past).expect("a moment")));
        let request = pb::RotateKeyRequest { expiration, ..rotation(&key) };
        server.refuses_fields(ROTATE, &request, &["expire_time"]).await;
    }
}
