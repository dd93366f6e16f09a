//! Bad input 34: request ids.

use std::time::Duration;

use portcullis::pb;
use tonic::Code;

use crate::{
    fields::create,
    harness::{Server, refusal, uuid},
};

const CREATE: &str = "KeyService/CreateKey";

#[tokio::test]
async fn a_request_id_is_a_uuid_or_absent() {
    let server = Server::start().await;
    let good = uuid();
    let bad = [
        "1".to_owned(),
        good.replace('-', ""),
        format!("{{{good}}}"),
        format!("urn:uuid:{good}"),
        format!(" {good}"),
        good[1..].to_owned(),
        good.replacen(|c: char| c.is_ascii_hexdigit(), "g", 1),
        uuid_nil(),
        "é".repeat(18),
    ];
    for request_id in bad {
        server.refuses_fields(CREATE, &pb::CreateKeyRequest { request_id, ..create(&server) }, &["request_id"]).await;
    }
    // Without one, the same request makes another key.
    let first: pb::CreateKeyResponse = server.signed(&server.admin, CREATE, &create(&server)).await.expect("create");
    let second: pb::CreateKeyResponse = server.signed(&server.admin, CREATE, &create(&server)).await.expect("create");
    assert_ne!(first.key.expect("key").key_id, second.key.expect("key").key_id);
}

fn uuid_nil() -> String {
    "00000000-0000-0000-0000-000000000000".to_owned()
}

#[tokio::test]
async fn a_request_id_is_its_accounts_own_and_good_for_a_day() {
    let server = Server::start().await;
    let other = server.admin.hire_role(&server, 1, pb::Role::Admin, &["*"]).await;
    let request = pb::CreateKeyRequest { request_id: uuid(), ..create(&server) };
    let made: pb::CreateKeyResponse = server.signed(&server.admin, CREATE, &request).await.expect("create");
    let key = made.key.expect("key");
    let exists = (Code::AlreadyExists, "SECRET_ALREADY_RETURNED");
    server.refuses(&server.admin, CREATE, &request, exists.0, exists.1).await;

    let theirs: pb::CreateKeyResponse = server.signed(&other, CREATE, &request).await.expect("another account");
    assert_ne!(theirs.key.expect("key").key_id, key.key_id);

    let changed = pb::CreateKeyRequest { description: "other".to_owned(), ..request.clone() };
    server.refuses(&server.admin, CREATE, &changed, Code::InvalidArgument, "REQUEST_ID_REUSED").await;
    let application = pb::Application { name: "key".to_owned(), ..Default::default() };
    let elsewhere =
        pb::CreateApplicationRequest { application: Some(application), request_id: request.request_id.clone() };
    let method = "ApplicationService/CreateApplication";
    server.refuses(&server.admin, method, &elsewhere, Code::InvalidArgument, "REQUEST_ID_REUSED").await;

    // Revoked or not, the key was made.
    server.revoke(&key).await;
    server.refuses(&server.admin, CREATE, &request, exists.0, exists.1).await;
    server.advance(Duration::from_hours(24) - Duration::from_secs(1)).await;
    server.refuses(&server.admin, CREATE, &request, exists.0, exists.1).await;
    server.advance(Duration::from_secs(1)).await;
    let again: pb::CreateKeyResponse = server.signed(&server.admin, CREATE, &request).await.expect("a day later");
    let again = again.key.expect("key");
    assert_ne!(again.key_id, key.key_id);
    let repeat = server.signed::<_, pb::CreateKeyResponse>(&server.admin, CREATE, &request).await;
    let status = repeat.as_ref().expect_err("the new one is remembered");
    let details = tonic_types::StatusExt::get_error_details(status);
    assert_eq!(details.error_info().expect("info").metadata["key_id"], again.key_id);
    assert_eq!(refusal(repeat).1, exists.1);
}

#[tokio::test]
async fn a_refused_create_does_not_use_its_request_id_up() {
    let server = Server::start().await;
    let other = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let mut request =
        pb::CreateKeyRequest { request_id: uuid(), permissions: vec!["users:read".to_owned()], ..create(&server) };
    server.refuses(&other, CREATE, &request, Code::PermissionDenied, "GRANT_EXCEEDED").await;
    request.permissions = vec!["tasks:read".to_owned()];
    let _: pb::CreateKeyResponse = server.signed(&other, CREATE, &request).await.expect("mended");
}

#[tokio::test]
async fn a_request_id_survives_a_restart() {
    let server = Server::start().await;
    let request = pb::CreateKeyRequest { request_id: uuid(), ..create(&server) };
    let _: pb::CreateKeyResponse = server.signed(&server.admin, CREATE, &request).await.expect("create");
    let server = server.restart().await;
    server.refuses(&server.admin, CREATE, &request, Code::AlreadyExists, "SECRET_ALREADY_RETURNED").await;
}
