//! Bad input 31 and 32: update masks and etags.

use portcullis::pb;
use tonic::Code;

use crate::{
    fields::ids,
    harness::{Server, mask},
};

const UPDATE: &str = "KeyService/UpdateKey";

/// Masks that name nothing which can be changed, each with how often it is wrong.
fn bad_masks() -> Vec<(Vec<&'static str>, usize)> {
    let long = vec!["name"; 65];
    vec![
        (vec!["*", "name"], 1),
        (vec!["*", "*"], 1),
        (vec![""], 1),
        (vec![" name"], 1),
        (vec!["Name"], 1),
        (vec!["no_such_field", "name"], 1),
        (vec!["create_time", "revision", "etag"], 3),
        (vec!["name.first"], 1),
        (vec!["`name`"], 1),
        (vec!["name,etag"], 1),
        (vec!["updateTime"], 1),
        (vec!["na\u{202e}me", "'; --"], 2),
        (long, 1),
    ]
}

#[tokio::test]
async fn a_mask_that_names_what_cannot_be_updated_is_refused() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let application =
        pb::Application { application_id: server.app.clone(), name: "x".to_owned(), ..Default::default() };
    let account = pb::ServiceAccount {
        service_account_id: server.admin.account_id.clone(),
        name: "x".to_owned(),
        ..Default::default()
    };
    for (paths, count) in bad_masks() {
        let fields = vec!["update_mask"; count];
        let update_mask = mask(&paths);
        let wish = pb::Key { name: "x".to_owned(), ..ids(&key) };
        let bad = pb::UpdateKeyRequest { key: Some(wish), update_mask: update_mask.clone(), wait: 0 };
        server.refuses_fields(UPDATE, &bad, &fields).await;
        let bad =
            pb::UpdateApplicationRequest { application: Some(application.clone()), update_mask: update_mask.clone() };
        server.refuses_fields("ApplicationService/UpdateApplication", &bad, &fields).await;
        let bad = pb::UpdateServiceAccountRequest { service_account: Some(account.clone()), update_mask, wait: 0 };
        server.refuses_fields("ServiceAccountService/UpdateServiceAccount", &bad, &fields).await;
    }
    for path in ["key.name", "labels.team", "labels[0]", "expireTime", "permissions.0", "environment", "type", "state"]
    {
        let bad = pb::UpdateKeyRequest { key: Some(ids(&key)), update_mask: mask(&[path]), wait: 0 };
        server.refuses_fields(UPDATE, &bad, &["update_mask"]).await;
    }
    let bad = pb::UpdateKeyRequest { key: None, update_mask: mask(&["nothing"]), wait: 0 };
    server.refuses_fields(UPDATE, &bad, &["key", "update_mask"]).await;
}

#[tokio::test]
async fn a_path_twice_is_a_path() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let wish = pb::Key { name: "renamed".to_owned(), ..ids(&key) };
    let twice = pb::UpdateKeyRequest { key: Some(wish), update_mask: mask(&["name", "name"]), wait: 0 };
    let updated: pb::UpdateKeyResponse = server.signed(&server.admin, UPDATE, &twice).await.expect("update");
    assert_eq!(updated.key.expect("key").name, "renamed");
}

#[tokio::test]
async fn an_empty_mask_is_none_and_an_update_of_nothing_writes_nothing() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let before = server.revision().await;
    for update_mask in [None, mask(&[])] {
        let nothing = pb::UpdateKeyRequest { key: Some(ids(&key)), update_mask, wait: 0 };
        let same: pb::UpdateKeyResponse = server.signed(&server.admin, UPDATE, &nothing).await.expect("update");
        assert_eq!((same.key.as_ref(), same.revision), (Some(&key), before));
    }
    let same = pb::UpdateKeyRequest { key: Some(key.clone()), update_mask: mask(&["*"]), wait: 0 };
    let same: pb::UpdateKeyResponse = server.signed(&server.admin, UPDATE, &same).await.expect("update");
    assert_eq!(same.key, Some(key), "what it is already");
    assert_eq!(server.revision().await, before);
}

#[tokio::test]
async fn only_the_etag_that_was_read_is_taken() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let unquoted = key.etag.trim_start_matches('r').to_owned();
    for etag in [
        format!("\"{}\"", key.etag),
        format!("W/{}", key.etag),
        unquoted,
        key.etag.to_uppercase(),
        "*".to_owned(),
        "r0".to_owned(),
        "\0".to_owned(),
    ] {
        let wish = pb::Key { name: "renamed".to_owned(), etag: etag.clone(), ..ids(&key) };
        let stale = pb::UpdateKeyRequest { key: Some(wish), ..Default::default() };
        server.refuses(&server.admin, UPDATE, &stale, Code::Aborted, "ETAG_MISMATCH").await;
        let stale = pb::RevokeKeyRequest {
            application_id: server.app.clone(),
            key_id: key.key_id.clone(),
            etag: etag.clone(),
            ..Default::default()
        };
        server.refuses(&server.admin, "KeyService/RevokeKey", &stale, Code::Aborted, "ETAG_MISMATCH").await;
        let wish =
            pb::Application { application_id: server.app.clone(), name: "x".to_owned(), etag, ..Default::default() };
        let stale = pb::UpdateApplicationRequest { application: Some(wish), update_mask: None };
        let method = "ApplicationService/UpdateApplication";
        server.refuses(&server.admin, method, &stale, Code::Aborted, "ETAG_MISMATCH").await;
    }
    let fresh = pb::RevokeKeyRequest {
        application_id: server.app.clone(),
        key_id: key.key_id,
        etag: key.etag,
        ..Default::default()
    };
    let revoked: pb::RevokeKeyResponse =
        server.signed(&server.admin, "KeyService/RevokeKey", &fresh).await.expect("the etag as read");
    // The same again after a lost answer: its own etag is stale by its own doing.
    let again: pb::RevokeKeyResponse =
        server.signed(&server.admin, "KeyService/RevokeKey", &fresh).await.expect("a repeat");
    assert_eq!(again.key, revoked.key);
}
