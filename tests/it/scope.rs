//! Who is bound to some applications, and what lies outside them.

use portcullis::pb;
use prost::Message;
use tonic::Code;

use crate::{
    fields::ids,
    harness::{Headers, Persona, Server, message_bytes, refusal},
};

/// All roles, in the server's application only.
async fn bound(server: &Server) -> Persona {
    let account = pb::ServiceAccount {
        name: "bound".to_owned(),
        roles: vec![1, 2, 3, 4, 5],
        application_ids: vec![server.app.clone()],
        grantable_permissions: vec!["*".to_owned()],
        ..Default::default()
    };
    server.admin.hire(server, 1, account).await
}

async fn foreign_key(server: &Server) -> pb::CreateKeyResponse {
    let application = pb::Application { name: "foreign".to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(application), ..Default::default() };
    let made: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("create");
    let id = made.application.expect("application").application_id;
    server.key_with(|request| request.application_id = id).await
}

/// Every call that names this application and this key of it.
fn calls(application_id: &str, key_id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (application_id, key_id) = (application_id.to_owned(), key_id.to_owned());
    let key = pb::Key {
        name: "x".to_owned(),
        application_id: application_id.clone(),
        key_id: key_id.clone(),
        ..Default::default()
    };
    vec![
        (
            "KeyService/GetKey",
            pb::GetKeyRequest { application_id: application_id.clone(), key_id: key_id.clone() }.encode_to_vec(),
        ),
        ("KeyService/UpdateKey", pb::UpdateKeyRequest { key: Some(key), ..Default::default() }.encode_to_vec()),
        (
            "KeyService/GetRateLimit",
            pb::GetRateLimitRequest {
                subject: Some(pb::get_rate_limit_request::Subject::KeyId(key_id.clone())),
                application_id: application_id.clone(),
            }
            .encode_to_vec(),
        ),
        (
            "KeyService/RotateKey",
            pb::RotateKeyRequest {
                application_id: application_id.clone(),
                key_id: key_id.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        ("KeyService/RevokeKey", pb::RevokeKeyRequest { application_id, key_id, ..Default::default() }.encode_to_vec()),
    ]
}

/// Sends bytes, signed.
async fn send(server: &Server, by: &Persona, method: &str, message: Vec<u8>) -> (Code, String) {
    let path = format!("/portcullis.v1.{method}");
    let headers = Headers::sign(by, &path, &message, server.now().seconds(), &crate::harness::nonce());
    refusal(server.with_headers::<()>(method, message, &headers).await)
}

#[tokio::test]
async fn an_application_out_of_scope_is_refused_before_any_look_up() {
    let server = Server::start().await;
    let by = bound(&server).await;
    let foreign = foreign_key(&server).await.key.expect("key");
    let outside = (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned());
    let (nowhere, nothing) = ("app_0000000000000000000000", "key_0000000000000000000000");
    let before = server.revision().await;
    for (application, key) in [
        (foreign.application_id.as_str(), foreign.key_id.as_str()),
        (&foreign.application_id, nothing),
        (nowhere, nothing),
    ] {
        for (method, message) in calls(application, key) {
            assert_eq!(send(&server, &by, method, message).await, outside, "{method} {application} {key}");
        }
        let create = pb::CreateKeyRequest { application_id: application.to_owned(), ..crate::fields::create(&server) };
        assert_eq!(send(&server, &by, "KeyService/CreateKey", message_bytes(&create)).await, outside);
        let list = pb::ListKeysRequest { application_id: application.to_owned(), ..Default::default() };
        assert_eq!(send(&server, &by, "KeyService/ListKeys", message_bytes(&list)).await, outside);
        let watch = pb::WatchRevocationsRequest { application_ids: vec![application.to_owned()], ..Default::default() };
        assert_eq!(refusal(server.watch(&by, &watch).await), outside);
    }
    assert_eq!(server.revision().await, before);
}

#[tokio::test]
async fn a_key_of_another_application_is_not_found() {
    let server = Server::start().await;
    let by = bound(&server).await;
    let foreign = foreign_key(&server).await;
    let key = foreign.key.clone().expect("key");
    let not_found = (Code::NotFound, "KEY_NOT_FOUND".to_owned());
    for person in [&by, &server.admin] {
        for id in [key.key_id.as_str(), "key_0000000000000000000000"] {
            for (method, message) in calls(&server.app, id) {
                assert_eq!(send(&server, person, method, message).await, not_found, "{method}");
            }
        }
    }
    assert_eq!(server.verdict(&foreign.secret).await, pb::Verdict::Valid, "and was not touched");
    let get = pb::GetKeyRequest { application_id: key.application_id.clone(), key_id: ids(&key).key_id };
    let got: pb::GetKeyResponse = server.by_token(&server.admin, "KeyService/GetKey", &get).await.expect("its own");
    assert_eq!(got.key, Some(key));
}

#[tokio::test]
async fn verify_finds_no_key_outside_the_scope() {
    let server = Server::start().await;
    let by = bound(&server).await;
    let (own, foreign) = (server.key().await, foreign_key(&server).await);
    let ask = async |person: &Persona, secret: &str, application_id: &str| {
        let request = pb::VerifyKeyRequest {
            subject: Some(pb::verify_key_request::Subject::Secret(secret.to_owned())),
            application_id: application_id.to_owned(),
            ..Default::default()
        };
        server.by_token::<_, pb::VerifyKeyResponse>(person, "KeyService/VerifyKey", &request).await
    };
    let unknown = ask(&by, &foreign.secret, "").await.expect("verify");
    assert_eq!(unknown.verdict(), pb::Verdict::NotFound);
    assert_eq!(
        unknown,
        pb::VerifyKeyResponse {
            verdict: pb::Verdict::NotFound.into(),
            revision: unknown.revision,
            ..Default::default()
        },
        "not a word of the key"
    );
    assert_eq!(ask(&by, &own.secret, "").await.expect("verify").verdict(), pb::Verdict::Valid);
    assert_eq!(ask(&by, &own.secret, &server.app).await.expect("verify").verdict(), pb::Verdict::Valid);
    let theirs = foreign.key.expect("key").application_id;
    let outside = ask(&by, &foreign.secret, &theirs).await;
    assert_eq!(refusal(outside), (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned()));

    // Who sees both is told by application all the same.
    let admin = &server.admin;
    assert_eq!(ask(admin, &foreign.secret, &server.app).await.expect("verify").verdict(), pb::Verdict::NotFound);
    assert_eq!(ask(admin, &foreign.secret, &theirs).await.expect("verify").verdict(), pb::Verdict::Valid);
    assert_eq!(ask(admin, &foreign.secret, "").await.expect("verify").verdict(), pb::Verdict::Valid);
}
