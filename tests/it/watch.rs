//! What a watcher is told: in order, once, all of it, and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use portcullis::pb;
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::harness::{
    Server, Setup, refusal, test_key, violations,
    watch::{from, only},
};

#[tokio::test]
async fn a_watch_without_a_token_begins_with_a_bookmark_at_the_head() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let head = server.revoke(&key).await.revision;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (bookmark, token) = watch.bookmark().await;
    assert_eq!(bookmark.revision, head);
    assert_eq!(bookmark.time.expect("time").seconds, server.now().seconds());
    assert!(!token.is_empty());
}

#[tokio::test]
async fn every_revocation_is_told_once_and_in_order_while_many_callers_write_at_once() {
    let server = Arc::new(Server::start_with(Setup::with_quick_bookmarks()).await);
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let mut writers = tokio::task::JoinSet::new();
    for number in 1..4 {
        let editor = server.admin.hire_role(&server, number, pb::Role::Editor, &["tasks:read"]).await;
        let server = Arc::clone(&server);
        writers.spawn(async move {
            let mut revoked = Vec::new();
            for _ in 0..15 {
                let create = pb::CreateKeyRequest {
                    application_id: server.app.clone(),
                    name: "key".to_owned(),
                    ..Default::default()
                };
                let made: pb::CreateKeyResponse =
                    server.signed(&editor, "KeyService/CreateKey", &create).await.expect("create");
                let key = made.key.expect("key");
                let revoke = pb::RevokeKeyRequest {
                    application_id: key.application_id.clone(),
                    key_id: key.key_id.clone(),
                    ..Default::default()
                };
                let answer: pb::RevokeKeyResponse =
                    server.signed(&editor, "KeyService/RevokeKey", &revoke).await.expect("revoke");
                revoked.push((answer.revision, (key.key_id, Sha256::digest(made.secret).to_vec())));
            }
            revoked
        });
    }
    let expected: BTreeMap<_, _> = writers.join_all().await.into_iter().flatten().collect();
    let told = watch.up_to(*expected.last_key_value().expect("revoked").0).await;
    assert!(told.iter().all(|revocation| revocation.cause() == pb::RevocationCause::Revoked));
    assert!(told.iter().all(|revocation| revocation.application_id == server.app && revocation.time.is_some()));
    let told: Vec<_> = told.into_iter().map(|r| (r.revision, (r.key_id, r.secret_sha256))).collect();
    assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "in the order of revisions, each once");
}

#[tokio::test]
async fn one_item_when_a_key_is_good_for_less_and_none_when_it_is_good_for_as_much_or_more() {
    use pb::RevocationCause::{Disabled, Narrowed};
    let server = Server::start_with(Setup::with_quick_bookmarks()).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let key = server.key_with(|request| request.permissions = vec!["tasks:*".to_owned()]).await.key.expect("key");
    let at = |seconds| Some(prost_types::Timestamp { seconds: server.now().seconds() + seconds, nanos: 0 });
    let permissions = |names: &[&str]| {
        let permissions = names.iter().map(ToString::to_string).collect();
        ("permissions", pb::Key { permissions, ..Default::default() })
    };
    let disabled = |disabled| ("disabled", pb::Key { disabled, ..Default::default() });
    let expires = |expire_time| ("expire_time", pb::Key { expire_time, ..Default::default() });
    let steps = [
        (("name", pb::Key { name: "renamed".to_owned(), ..Default::default() }), None),
        (disabled(true), Some(Disabled)),
        (disabled(true), None),
        (disabled(false), None),
        (permissions(&["tasks:*", "users:read"]), None),
        (permissions(&["tasks:read", "users:read"]), Some(Narrowed)),
        (permissions(&["users:read", "tasks:read"]), None),
        (permissions(&["tasks:*", "users:*"]), None),
        (permissions(&["tasks:*"]), Some(Narrowed)),
        (expires(at(600)), Some(Narrowed)),
        (expires(at(900)), None),
        (expires(at(300)), Some(Narrowed)),
        (expires(None), None),
    ];
    let mut expected = Vec::new();
    for ((path, wish), cause) in steps {
        let wish = pb::Key { application_id: key.application_id.clone(), key_id: key.key_id.clone(), ..wish };
        let update_mask = Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
        let request = pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: 0 };
        let answer: pb::UpdateKeyResponse =
            server.signed(&server.admin, "KeyService/UpdateKey", &request).await.expect("update");
        expected.extend(cause.map(|cause| (answer.revision, cause)));
    }
    expected.push((server.revoke(&key).await.revision, pb::RevocationCause::Revoked));
    server.revoke(&key).await;
    let head = server.key().await.revision;
    let told: Vec<_> = watch.up_to(head).await.into_iter().map(|r| (r.revision, r.cause())).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_watch_tells_of_the_applications_that_it_names_and_that_its_caller_may_see() {
    let server = Server::start_with(Setup::with_quick_bookmarks()).await;
    let application = Some(pb::Application { name: "other".to_owned(), ..Default::default() });
    let request = pb::CreateApplicationRequest { application, ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = other.application.expect("application").application_id;
    let account = pb::ServiceAccount {
        name: "of demo".to_owned(),
        roles: vec![pb::Role::Watcher.into()],
        application_ids: vec![server.app.clone()],
        ..Default::default()
    };
    let scoped = server.admin.hire(&server, 1, account).await;
    assert_eq!(scoped.kid(), test_key(1).public().kid().to_string());

    let mut of_demo = server.watch(&server.admin, &only(&server.app)).await.expect("watch");
    let mut of_other = server.watch(&server.admin, &only(&other)).await.expect("watch");
    let mut of_all = server.watch(&server.admin, &from("")).await.expect("watch");
    let mut of_scoped = server.watch(&scoped, &from("")).await.expect("watch");
    let here = server.key().await.key.expect("key");
    let there = server.key_with(|request| request.application_id.clone_from(&other)).await.key.expect("key");
    server.revoke(&here).await;
    server.revoke(&there).await;
    let head = server.key().await.revision;
    for (watch, expected) in [
        (&mut of_demo, vec![&here.key_id]),
        (&mut of_other, vec![&there.key_id]),
        (&mut of_all, vec![&here.key_id, &there.key_id]),
        (&mut of_scoped, vec![&here.key_id]),
    ] {
        // The bookmark covers the filter: it passes over what is not told.
        let told = watch.up_to(head).await;
        assert_eq!(told.iter().map(|r| &r.key_id).collect::<Vec<_>>(), expected);
    }
    let answer = server.watch(&scoped, &only(&other)).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned()));
    let answer = server.watch(&server.admin, &only("app_0000000000000000000000")).await;
    assert_eq!(refusal(answer), (Code::NotFound, "APPLICATION_NOT_FOUND".to_owned()));
    let status = server.watch(&server.admin, &only("demo")).await.expect_err("no id");
    assert_eq!(violations(&status), ["application_ids[0]"]);
}
