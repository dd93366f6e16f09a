//! Nobody hands out more than they have, in whatever way they try.

use portcullis::pb;
use tonic::Code;

use crate::{
    fields::ids,
    harness::{Persona, Server, mask, refusal, test_key, verify::update},
};

const CREATE: &str = "KeyService/CreateKey";
const UPDATE: &str = "KeyService/UpdateKey";

/// An admin of one application who may grant `tasks:*`.
async fn lesser(server: &Server, key: usize) -> Persona {
    server.admin.hire(server, key, like_lesser(server)).await
}

fn like_lesser(server: &Server) -> pb::ServiceAccount {
    pb::ServiceAccount {
        name: "lesser".to_owned(),
        roles: vec![pb::Role::Admin.into()],
        application_ids: vec![server.app.clone()],
        grantable_permissions: vec!["tasks:*".to_owned()],
        ..Default::default()
    }
}

async fn second_application(server: &Server) -> String {
    let application = pb::Application { name: "second".to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(application), ..Default::default() };
    let made: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("create");
    made.application.expect("application").application_id
}

fn exceeded() -> (Code, String) {
    (Code::PermissionDenied, "GRANT_EXCEEDED".to_owned())
}

/// What a lesser admin may not make of an account.
fn too_much(server: &Server, other: &str) -> Vec<(&'static str, pb::ServiceAccount)> {
    let like = like_lesser(server);
    let grants = |permission: &str| pb::ServiceAccount {
        grantable_permissions: vec!["tasks:read".to_owned(), permission.to_owned()],
        ..like.clone()
    };
    let both = vec![server.app.clone(), other.to_owned()];
    vec![
        ("all_applications", pb::ServiceAccount { all_applications: true, application_ids: vec![], ..like.clone() }),
        ("application_ids", pb::ServiceAccount { application_ids: both, ..like.clone() }),
        ("application_ids", pb::ServiceAccount { application_ids: vec![other.to_owned()], ..like.clone() }),
        ("grantable_permissions", grants("users:read")),
        ("grantable_permissions", grants("*:read")),
        ("grantable_permissions", grants("*:*")),
        ("grantable_permissions", grants("*")),
        ("grantable_permissions", grants("admin:*")),
    ]
}

#[tokio::test]
async fn no_account_is_made_or_raised_above_its_maker() {
    let server = Server::start().await;
    let other = second_application(&server).await;
    let lesser = lesser(&server, 1).await;
    let own = lesser.create_account(&server, like_lesser(&server)).await.expect("one like oneself");
    for (path, wish) in too_much(&server, &other) {
        let before = server.revision().await;
        assert_eq!(refusal(lesser.create_account(&server, wish.clone()).await), exceeded(), "{wish:?}");
        for id in [&own.service_account_id, &lesser.account_id] {
            let raised = lesser.update_account(&server, id, &[path], wish.clone()).await;
            assert_eq!(refusal(raised), exceeded(), "{wish:?}");
        }
        assert_eq!(server.revision().await, before, "nothing is written");
    }
}

#[tokio::test]
async fn a_greater_account_is_out_of_reach() {
    let server = Server::start().await;
    let other = second_application(&server).await;
    let lesser = lesser(&server, 1).await;
    let mut greater = vec![server.admin.account_id.clone()];
    for (_, wish) in too_much(&server, &other) {
        greater.push(server.admin.create_account(&server, wish.clone()).await.expect("by the root").service_account_id);
        let disabled = pb::ServiceAccount { disabled: true, ..wish };
        greater.push(server.admin.create_account(&server, disabled).await.expect("by the root").service_account_id);
    }
    let before = server.revision().await;
    for id in &greater {
        let become_it = lesser.add_key(&server, id, test_key(2).public().to_pem()).await;
        assert_eq!(refusal(become_it), exceeded(), "a key of one's own on it is being it");
        assert_eq!(refusal(lesser.remove_key(&server, id, &server.admin.kid()).await), exceeded());
        assert_eq!(refusal(lesser.disable_account(&server, id).await), exceeded());
        for (path, wish) in [
            ("name", pb::ServiceAccount { name: "renamed".to_owned(), ..Default::default() }),
            ("disabled", pb::ServiceAccount::default()),
            ("roles", pb::ServiceAccount::default()),
            ("grantable_permissions", pb::ServiceAccount::default()),
            ("application_ids", pb::ServiceAccount::default()),
        ] {
            assert_eq!(refusal(lesser.update_account(&server, id, &[path], wish).await), exceeded(), "{path}");
        }
    }
    assert_eq!(server.revision().await, before, "nothing is written");
    lesser.disable_account(&server, &lesser.account_id).await.expect("oneself");
}

fn create(server: &Server, permissions: &[&str]) -> pb::CreateKeyRequest {
    pb::CreateKeyRequest {
        permissions: permissions.iter().map(ToString::to_string).collect(),
        ..crate::fields::create(server)
    }
}

fn with_permissions(key: &pb::Key, permissions: &[&str]) -> pb::UpdateKeyRequest {
    let wish = pb::Key { permissions: permissions.iter().map(ToString::to_string).collect(), ..ids(key) };
    pb::UpdateKeyRequest { key: Some(wish), update_mask: mask(&["permissions"]), wait: 0 }
}

#[tokio::test]
async fn no_key_gets_a_permission_that_its_maker_may_not_grant() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*", "users:read"]).await;
    let denied = Code::PermissionDenied;
    let (good, bad) =
        (["tasks:read", "tasks:*", "users:read"], ["users:write", "users:*", "*:read", "*:*", "*", "admin:*"]);
    let mut key = pb::Key::default();
    for permission in good {
        let request = create(&server, &[permission]);
        let made: pb::CreateKeyResponse = server.signed(&editor, CREATE, &request).await.expect(permission);
        key = made.key.expect("key");
    }
    for permission in bad {
        server.refuses(&editor, CREATE, &create(&server, &["tasks:read", permission]), denied, "GRANT_EXCEEDED").await;
        server.refuses(&editor, UPDATE, &with_permissions(&key, &[permission]), denied, "GRANT_EXCEEDED").await;
    }
    // What the key has already may stay: taking the rest away grants nothing.
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, UPDATE, &with_permissions(&key, &["users:*", "mail:send"])).await.expect("root");
    let _: pb::UpdateKeyResponse =
        server.signed(&editor, UPDATE, &with_permissions(&key, &["users:*"])).await.expect("less");
    let again = with_permissions(&key, &["users:*", "mail:send"]);
    server.refuses(&editor, UPDATE, &again, denied, "GRANT_EXCEEDED").await;
}

#[tokio::test]
async fn waking_an_expired_key_is_granting_what_it_holds() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let made = server
        .key_with(|request| {
            request.permissions = vec!["tasks:read".to_owned(), "users:write".to_owned()];
            let ttl = prost_types::Duration { seconds: 60, nanos: 0 };
            request.expiration = Some(pb::create_key_request::Expiration::Ttl(ttl));
        })
        .await;
    server.pass(60).await;
    let key = server.get_key(&made.key.expect("key").key_id).await;
    let wake = |paths: &[&str], permissions: &[&str]| {
        let mut wake = with_permissions(&key, permissions);
        wake.update_mask = mask(paths);
        wake
    };
    let denied = Code::PermissionDenied;
    server.refuses(&editor, UPDATE, &wake(&["expire_time"], &[]), denied, "GRANT_EXCEEDED").await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Expired);
    let without = wake(&["expire_time", "permissions"], &["tasks:read"]);
    let _: pb::UpdateKeyResponse = server.signed(&editor, UPDATE, &without).await.expect("without what exceeds");
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
}

#[tokio::test]
async fn nobody_prolongs_a_key_that_holds_more_than_they_may_grant() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let ends = |minutes: i64| {
        let time = prost_types::Timestamp { seconds: server.now().seconds() + 60 * minutes, nanos: 0 };
        pb::Key { expire_time: Some(time), ..Default::default() }
    };
    let made = server.key_with(|request| {
        request.permissions = vec!["users:write".to_owned()];
        request.expiration = ends(30).expire_time.map(pb::create_key_request::Expiration::ExpireTime);
    });
    let key = made.await.key.expect("key");
    let until = |wish| update(&key, &["expire_time"], wish);
    let _: pb::UpdateKeyResponse = server.signed(&editor, UPDATE, &until(ends(20))).await.expect("sooner");
    for longer in [until(ends(21)), until(pb::Key::default())] {
        server.refuses(&editor, UPDATE, &longer, Code::PermissionDenied, "GRANT_EXCEEDED").await;
    }
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, UPDATE, &until(pb::Key::default())).await.expect("who may grant it");
}

#[tokio::test]
async fn a_key_without_permissions_inherits_its_makers_short_of_full_access() {
    let server = Server::start().await;
    let all = ["tasks:*", "*", "users:read", "admin:*", "*:*", "*:read"];
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &all).await;
    let made: pb::CreateKeyResponse = server.signed(&editor, CREATE, &create(&server, &[])).await.expect("create");
    assert_eq!(made.key.expect("key").permissions, ["tasks:*", "users:read", "*:read"]);
    let full: pb::CreateKeyResponse = server.signed(&editor, CREATE, &create(&server, &["*"])).await.expect("named");
    assert_eq!(full.key.expect("key").permissions, ["*"]);
    let made: pb::CreateKeyResponse =
        server.signed(&server.admin, CREATE, &create(&server, &[])).await.expect("create");
    assert!(made.key.expect("key").permissions.is_empty(), "the root may grant `*` and nothing less by name");
    // Another who may grant nothing.
    let none = server.admin.hire_role(&server, 2, pb::Role::Editor, &[]).await;
    let made: pb::CreateKeyResponse = server.signed(&none, CREATE, &create(&server, &[])).await.expect("create");
    assert!(made.key.expect("key").permissions.is_empty());
}

#[tokio::test]
async fn an_account_without_applications_is_out_of_reach_of_an_admin_of_some() {
    let server = Server::start().await;
    let lesser = lesser(&server, 1).await;
    // Whoever held its keys now would hold whatever it is given later.
    let bare = pb::ServiceAccount { name: "bare".to_owned(), ..Default::default() };
    assert_eq!(refusal(lesser.create_account(&server, bare.clone()).await), exceeded());
    let bare = server.admin.create_account(&server, bare).await.expect("account");
    let plant = pb::AddServiceAccountKeyRequest {
        service_account_id: bare.service_account_id.clone(),
        public_key_pem: test_key(5).public().to_pem().to_owned(),
        ..Default::default()
    };
    let planted = server.signed(&lesser, "ServiceAccountService/AddServiceAccountKey", &plant).await;
    assert_eq!(refusal::<pb::AddServiceAccountKeyResponse>(planted), exceeded());
}

#[tokio::test]
async fn nobody_enables_a_key_that_holds_more_than_they_may_grant() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let key = server.key_with(|request| request.permissions = vec!["*".to_owned()]).await.key.expect("key");
    let switch = |disabled| pb::UpdateKeyRequest {
        key: Some(pb::Key {
            application_id: key.application_id.clone(),
            key_id: key.key_id.clone(),
            disabled,
            ..Default::default()
        }),
        update_mask: mask(&["disabled"]),
        wait: 0,
    };
    let _: pb::UpdateKeyResponse = server.signed(&editor, UPDATE, &switch(true)).await.expect("who edits may disable");
    server.refuses(&editor, UPDATE, &switch(false), Code::PermissionDenied, "GRANT_EXCEEDED").await;
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, UPDATE, &switch(false)).await.expect("who may grant it");
}

#[tokio::test]
async fn nobody_lets_a_key_be_used_from_more_that_holds_more_than_they_may_grant() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let made = server.key_with(|request| {
        request.permissions = vec!["users:read".to_owned()];
        request.ip_allowlist = vec!["192.0.2.0/24".to_owned(), "198.51.100.0/24".to_owned()];
    });
    let key = made.await.key.expect("key");
    let bind = |ranges: &[&str]| {
        let ip_allowlist = ranges.iter().map(ToString::to_string).collect();
        update(&key, &["ip_allowlist"], pb::Key { ip_allowlist, ..Default::default() })
    };
    let narrower = bind(&["192.0.2.0/24"]);
    let _: pb::UpdateKeyResponse = server.signed(&editor, UPDATE, &narrower).await.expect("who edits may narrow");
    for wider in [bind(&[]), bind(&["192.0.2.0/24", "0.0.0.0/0"]), bind(&["203.0.113.0/24"])] {
        server.refuses(&editor, UPDATE, &wider, Code::PermissionDenied, "GRANT_EXCEEDED").await;
    }
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, UPDATE, &bind(&[])).await.expect("who may grant what it holds");
}
