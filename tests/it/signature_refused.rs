//! A mutation whose signature passed has been asked for by somebody: when it is refused,
//! that is on record and its nonce is spent. A call that proves nothing leaves no trace.

use portcullis::{
    pb,
    signing::{KID, SIGNATURE},
};
use prost::Message as _;
use tonic::Code;

use crate::harness::{Headers, Persona, RawClient, Server, Wire, good_create, must_pass, nonce, raw_refusal, test_key};

fn signed_by(server: &Server, persona: &Persona, method: &str, message: &[u8]) -> Wire {
    let path = format!("/portcullis.v1.{method}");
    Wire::new(method, message, &Headers::sign(persona, &path, message, server.now().seconds(), &nonce()))
        .header("x-request-id", &["the-request"])
}

fn create(application_id: &str, name: &str) -> Vec<u8> {
    pb::CreateKeyRequest { application_id: application_id.into(), name: name.into(), ..Default::default() }
        .encode_to_vec()
}

/// Sends it: refused so, on record, once, and without effect.
async fn refused_and_noted(server: &Server, persona: &Persona, wire: &Wire, expected: (Code, &str)) {
    let client = RawClient::connect(server).await;
    let before = server.rows().await;
    assert_eq!(raw_refusal(&client, wire).await, (expected.0, expected.1.to_owned()));
    let after = server.rows().await;
    let written = (after.keys - before.keys, after.nonces - before.nonces, after.audits - before.audits);
    assert_eq!(written, (0, 1, 1), "{}", expected.1);
    assert_eq!(after.revision, before.revision, "a refusal is no revision");
    let audit = server.last_audit().await;
    assert_eq!((audit.account.as_ref(), audit.kid), (Some(&persona.account_id), Some(persona.kid())));
    assert_eq!((audit.outcome.as_str(), audit.revision), (expected.1, None));
    assert_eq!((audit.method.as_str(), audit.request_id.as_str()), (&wire.path[1..], "the-request"));

    // The same bytes never get another try, nor another line in the log.
    let _ = raw_refusal(&client, wire).await;
    assert_eq!(server.rows().await, after);
}

#[tokio::test]
async fn a_proven_mutation_that_is_refused_is_on_record_with_its_reason() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let narrow =
        pb::ServiceAccount { name: "narrow".into(), roles: vec![pb::Role::Editor.into()], ..Default::default() };
    let narrow = server.admin.hire(&server, 1, narrow).await;
    let viewer = server.admin.hire_role(&server, 2, pb::Role::Viewer, &[]).await;
    let editor = server.admin.hire_role(&server, 3, pb::Role::Editor, &["tasks:read"]).await;
    let (app, create_key) = (&server.app, "KeyService/CreateKey");
    let stale = pb::RevokeKeyRequest {
        application_id: app.clone(),
        key_id: key.key_id,
        etag: "stale".into(),
        ..Default::default()
    }
    .encode_to_vec();
    let unknown =
        pb::RevokeKeyRequest { application_id: app.clone(), key_id: format!("key_{:022}", 1), ..Default::default() };
    let greedy = pb::CreateKeyRequest {
        application_id: app.clone(),
        name: "key".into(),
        permissions: vec!["*".into()],
        ..Default::default()
    };
    let (admin, invalid) = (&server.admin, (Code::InvalidArgument, "FIELD_INVALID"));
    let cases = [
        (admin, create_key, create(app, ""), invalid),
        (admin, create_key, create("not an id", "key"), invalid),
        (admin, create_key, vec![0xff; 20], invalid),
        (&viewer, create_key, create(app, "key"), (Code::PermissionDenied, "ROLE_MISSING")),
        (&narrow, create_key, create(app, "key"), (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE")),
        (&editor, create_key, greedy.encode_to_vec(), (Code::PermissionDenied, "GRANT_EXCEEDED")),
        (admin, "KeyService/RevokeKey", unknown.encode_to_vec(), (Code::NotFound, "KEY_NOT_FOUND")),
        (admin, "KeyService/RevokeKey", stale, (Code::Aborted, "ETAG_MISMATCH")),
    ];
    for (persona, method, message, expected) in cases {
        refused_and_noted(&server, persona, &signed_by(&server, persona, method, &message), expected).await;
    }
    must_pass(&RawClient::connect(&server).await, &good_create(&server)).await;
}

#[tokio::test]
async fn a_refused_call_stays_refused_when_its_reason_has_gone() {
    let server = Server::start().await;
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &["tasks:read"]).await;
    let wire = signed_by(&server, &viewer, "KeyService/CreateKey", &create(&server.app, "key"));
    refused_and_noted(&server, &viewer, &wire, (Code::PermissionDenied, "ROLE_MISSING")).await;
    let promotion = pb::UpdateServiceAccountRequest {
        service_account: Some(pb::ServiceAccount {
            service_account_id: viewer.account_id.clone(),
            roles: vec![pb::Role::Editor.into()],
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["roles".into()] }),
        wait: 0,
    };
    let _: pb::UpdateServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/UpdateServiceAccount", &promotion).await.expect("promote");
    let client = RawClient::connect(&server).await;
    assert_eq!(raw_refusal(&client, &wire).await, (Code::Unauthenticated, "NONCE_REUSED".to_owned()));
    must_pass(&client, &signed_by(&server, &viewer, "KeyService/CreateKey", &create(&server.app, "key"))).await;
}

#[tokio::test]
async fn a_call_that_proves_nothing_leaves_no_trace() {
    let server = Server::start().await;
    let (good, before) = (good_create(&server), server.rows().await);
    let client = RawClient::connect(&server).await;
    let unproven = [
        good.header(KID, &[test_key(7).public().kid().as_str()]),
        good.header(SIGNATURE, &["AAAA"]),
        good.header(SIGNATURE, &["?"]),
        good.header("x-portcullis-timestamp", &["1795210000"]),
        good.body(&b"\0\0\0\0\x01x"[..]),
    ];
    for wire in &unproven {
        assert_eq!(raw_refusal(&client, wire).await.0, Code::Unauthenticated);
    }
    assert_eq!(server.rows().await, before, "no nonce, no entry");
    must_pass(&client, &good).await;
    let audit = server.last_audit().await;
    assert_eq!((audit.outcome.as_str(), audit.revision), ("OK", Some(before.revision + 1)));
}
