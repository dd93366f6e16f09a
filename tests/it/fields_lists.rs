//! Bad input 36: lists that are too long, or name a thing twice.

use portcullis::pb;
use tonic::Code;

use crate::{
    fields::{create, label, texts},
    harness::{Server, violations},
};

const CREATE: &str = "KeyService/CreateKey";

#[tokio::test]
async fn lists_end_where_the_proto_says_and_name_each_thing_once() {
    let server = Server::start().await;
    let permissions = |count: usize| (0..count).map(|i| format!("p{i}:read")).collect::<Vec<_>>();
    let made = server.key_with(|request| request.permissions = permissions(100)).await;
    assert_eq!(made.key.expect("key").permissions, permissions(100));
    let bad = pb::CreateKeyRequest { permissions: permissions(101), ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["permissions"]).await;
    let bad = pb::CreateKeyRequest { permissions: vec!["a:b".to_owned(); 10_000], ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["permissions"]).await;
    let made = server.key_with(|request| request.permissions = texts(&["b:c", "a:b", "b:c"])).await;
    assert_eq!(made.key.expect("key").permissions, ["b:c", "a:b"], "a permission twice is there once");
    let bad = pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret("x".to_owned())),
        required_permissions: permissions(101),
        ..Default::default()
    };
    server.refuses_fields("KeyService/VerifyKey", &bad, &["required_permissions"]).await;

    let labels = |count: usize| (0..count).rev().map(|i| label(&format!("l{i}"), "")).collect::<Vec<_>>();
    let made = server.key_with(|request| request.labels = labels(64)).await;
    assert_eq!(made.key.expect("key").labels, labels(64), "in the order given");
    let bad = pb::CreateKeyRequest { labels: labels(65), ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["labels"]).await;
    for key in ["", "Team", "te am", "té", "a\0", &"k".repeat(64)] {
        let bad = pb::CreateKeyRequest { labels: vec![label(key, "")], ..create(&server) };
        server.refuses_fields(CREATE, &bad, &["labels[0].key"]).await;
    }
}

/// gRPC clients take 8 KiB of headers, and the violations travel in one.
#[tokio::test]
async fn however_much_is_wrong_the_answer_reaches_the_caller() {
    let server = Server::start().await;
    let account = pb::ServiceAccount {
        name: "n".to_owned(),
        application_ids: vec!["app_?".to_owned(); 1000],
        ..Default::default()
    };
    let bad = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
    let method = "ServiceAccountService/CreateServiceAccount";
    let status = server.signed::<_, ()>(&server.admin, method, &bad).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let told = violations(&status);
    assert_eq!(told[0], "service_account.application_ids[0]");
    assert!((20..1000).contains(&told.len()), "{}", told.len());
    assert!(status.details().len() * 4 / 3 + status.message().len() < 7 * 1024, "{}", status.details().len());
    let details = tonic_types::StatusExt::get_error_details(&status);
    let last = &details.bad_request().expect("violations").field_violations[told.len() - 1];
    let left_out = 1000 - told.len();
    assert_eq!(last.description, format!("is wrong too, and {left_out} more, left out here"));
}
