//! Bad input 28: texts, names, ids and enum values. All that is wrong is told at
//! once, by the names of the proto.

use portcullis::pb;
use prost_types::Duration;
use tonic::Code;

use crate::harness::{Server, mask};

const CREATE: &str = "KeyService/CreateKey";

pub(crate) fn create(server: &Server) -> pb::CreateKeyRequest {
    pb::CreateKeyRequest { application_id: server.app.clone(), name: "key".to_owned(), ..Default::default() }
}

pub(crate) fn label(key: &str, value: &str) -> pb::Label {
    pb::Label { key: key.to_owned(), value: value.to_owned() }
}

pub(crate) fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once_and_nothing_is_written() {
    let server = Server::start().await;
    let bad = pb::CreateKeyRequest {
        application_id: "app_1".to_owned(),
        name: String::new(),
        description: "d".repeat(1025),
        r#type: 99,
        environment: 99,
        permissions: texts(&["Bad", "tasks:read", "a:b:c"]),
        expiration: Some(pb::create_key_request::Expiration::Ttl(Duration { seconds: 0, nanos: 0 })),
        ip_allowlist: texts(&["10.0.0.0/8", "10.0.0.1/8", "localhost"]),
        referrer_allowlist: texts(&["https://u@a.example", "*.com"]),
        resource_allowlist: texts(&["", "files/../secret", "files/*"]),
        rate_limits: vec![pb::RateLimit::default()],
        quotas: vec![pb::Quota::default()],
        labels: vec![label("UPPER", &"v".repeat(257)), label("team", "a"), label("team", "b")],
        auto_renew: true,
        rotation_period: Some(Duration { seconds: 3600, nanos: 0 }),
        rotation_recipient_kid: "a-name".to_owned(),
        request_id: "not-a-uuid".to_owned(),
        wait: 99,
    };
    let all = [
        "application_id",
        "description",
        "environment",
        "ip_allowlist[1]",
        "ip_allowlist[2]",
        "labels[0].key",
        "labels[0].value",
        "labels[2].key",
        "name",
        "permissions[0]",
        "permissions[2]",
        "quotas[0].limit",
        "quotas[0].period",
        "rate_limits[0].limit",
        "rate_limits[0].name",
        "rate_limits[0].window",
        "referrer_allowlist[0]",
        "referrer_allowlist[1]",
        "request_id",
        "resource_allowlist[0]",
        "resource_allowlist[1]",
        "rotation_period",
        "rotation_recipient_kid",
        "ttl",
        "type",
        "wait",
    ];
    server.refuses_fields(CREATE, &bad, &all).await;

    let key = pb::Key {
        name: "a\0b".to_owned(),
        description: "\u{202e}".to_owned(),
        permissions: texts(&["*:"]),
        ip_allowlist: texts(&["::ffff:10.0.0.0/95"]),
        referrer_allowlist: texts(&["https://a.example", "https://a.example/"]),
        resource_allowlist: texts(&["a*b"]),
        rate_limits: vec![pb::RateLimit::default()],
        quotas: vec![pb::Quota::default()],
        labels: vec![label("", "")],
        expire_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        ..Default::default()
    };
    let bad = pb::UpdateKeyRequest { key: Some(key), update_mask: mask(&["*", "name"]), wait: -1 };
    let all = [
        "key.application_id",
        "key.description",
        "key.expire_time",
        "key.ip_allowlist[0]",
        "key.key_id",
        "key.labels[0].key",
        "key.name",
        "key.permissions[0]",
        "key.quotas[0].limit",
        "key.quotas[0].period",
        "key.rate_limits[0].limit",
        "key.rate_limits[0].name",
        "key.rate_limits[0].window",
        "key.referrer_allowlist[1]",
        "key.resource_allowlist[0]",
        "update_mask",
        "wait",
    ];
    server.refuses_fields("KeyService/UpdateKey", &bad, &all).await;

    let bad = pb::RevokeKeyRequest {
        application_id: "key_0000000000000000000000".to_owned(),
        key_id: "app_0000000000000000000000".to_owned(),
        reason: 8,
        comment: "c".repeat(1025),
        wait: 4,
        ..Default::default()
    };
    let all = ["application_id", "comment", "key_id", "reason", "wait"];
    server.refuses_fields("KeyService/RevokeKey", &bad, &all).await;

    let bad = pb::ListKeysRequest {
        page_size: -1,
        environment: 3,
        name_prefix: "n".repeat(129),
        page_token: "junk".to_owned(),
        ..Default::default()
    };
    let all = ["application_id", "environment", "name_prefix", "page_size"];
    server.refuses_fields("KeyService/ListKeys", &bad, &all).await;
    server.refuses_fields("KeyService/GetKey", &pb::GetKeyRequest::default(), &["application_id", "key_id"]).await;

    let bad = pb::VerifyKeyRequest {
        application_id: "demo".to_owned(),
        environment: -1,
        required_permissions: texts(&["tasks"]),
        ..Default::default()
    };
    let all = ["application_id", "environment", "required_permissions[0]", "secret"];
    server.refuses_fields("KeyService/VerifyKey", &bad, &all).await;
    server.key().await;
}

#[tokio::test]
async fn wrong_applications_and_accounts_are_told_at_once() {
    let server = Server::start().await;
    let wish = pb::Application {
        application_id: server.app.clone(),
        key_prefix: "sk".to_owned(),
        etag: "r1".to_owned(),
        ..Default::default()
    };
    let bad = pb::CreateApplicationRequest { application: Some(wish), request_id: "{}".to_owned() };
    let all =
        ["application.application_id", "application.etag", "application.key_prefix", "application.name", "request_id"];
    server.refuses_fields("ApplicationService/CreateApplication", &bad, &all).await;
    let bad = pb::CreateApplicationRequest { application: None, request_id: "1".to_owned() };
    server.refuses_fields("ApplicationService/CreateApplication", &bad, &["application", "request_id"]).await;
    for prefix in ["pk", "Acme", "1acme", "ac_me", "äcme", "a2345678901234567", "acme\0"] {
        let wish =
            pb::Application { application_id: server.app.clone(), key_prefix: prefix.to_owned(), ..Default::default() };
        let bad = pb::UpdateApplicationRequest { application: Some(wish), update_mask: None };
        server.refuses_fields("ApplicationService/UpdateApplication", &bad, &["application.key_prefix"]).await;
    }

    let wish = pb::ServiceAccount {
        client_email: "me@example.com".to_owned(),
        roles: vec![0, 2, 99],
        all_applications: true,
        application_ids: vec![server.app.clone()],
        grantable_permissions: texts(&["tasks:read", "tasks read"]),
        keys: vec![pb::ServiceAccountKey::default()],
        ..Default::default()
    };
    let bad = pb::CreateServiceAccountRequest { service_account: Some(wish), request_id: "-".to_owned(), wait: 9 };
    let all = [
        "request_id",
        "service_account.application_ids",
        "service_account.client_email",
        "service_account.grantable_permissions[1]",
        "service_account.keys",
        "service_account.name",
        "service_account.roles[0]",
        "service_account.roles[2]",
        "wait",
    ];
    server.refuses_fields("ServiceAccountService/CreateServiceAccount", &bad, &all).await;
    let bad = pb::AddServiceAccountKeyRequest { wait: 7, ..Default::default() };
    let all = ["public_key_pem", "service_account_id", "wait"];
    server.refuses_fields("ServiceAccountService/AddServiceAccountKey", &bad, &all).await;
    let bad = pb::RemoveServiceAccountKeyRequest { kid: "short".to_owned(), wait: 7, ..Default::default() };
    server
        .refuses_fields("ServiceAccountService/RemoveServiceAccountKey", &bad, &["kid", "service_account_id", "wait"])
        .await;
    let bad = pb::DisableServiceAccountRequest { wait: 7, ..Default::default() };
    server.refuses_fields("ServiceAccountService/DisableServiceAccount", &bad, &["service_account_id", "wait"]).await;
}

#[tokio::test]
async fn a_name_is_kept_as_it_is_or_refused() {
    let server = Server::start().await;
    let longest = "é".repeat(128);
    for name in ["../..%2f%00", "'; DROP TABLE api_key; --", " %_\\ ", "日本語 🏦", &longest] {
        let made = server.key_with(|request| request.name = name.to_owned()).await;
        assert_eq!(made.key.expect("key").name, name);
    }
    let key = server.key().await.key.expect("key");
    let (too_long, page) = ("é".repeat(129), "n".repeat(60 * 1024));
    for name in [
        "",
        "   ",
        "\u{a0}",
        "a\0b",
        "a\nb",
        "a\u{7f}b",
        "a\u{202e}b",
        "a\u{200f}b",
        "\u{200b}",
        "\u{2066}a",
        "\u{feff}a",
        &too_long,
        &page,
    ] {
        let name = name.to_owned();
        let bad = pb::CreateKeyRequest { name: name.clone(), ..create(&server) };
        server.refuses_fields(CREATE, &bad, &["name"]).await;
        let wish = pb::Key { name: name.clone(), ..ids(&key) };
        let bad = pb::UpdateKeyRequest { key: Some(wish), update_mask: mask(&["name"]), wait: 0 };
        server.refuses_fields("KeyService/UpdateKey", &bad, &["key.name"]).await;
        let application = pb::Application { name: name.clone(), ..Default::default() };
        let bad = pb::CreateApplicationRequest { application: Some(application), request_id: String::new() };
        server.refuses_fields("ApplicationService/CreateApplication", &bad, &["application.name"]).await;
        let account = pb::ServiceAccount { name, ..Default::default() };
        let bad = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        server.refuses_fields("ServiceAccountService/CreateServiceAccount", &bad, &["service_account.name"]).await;
    }
}

pub(crate) fn ids(key: &pb::Key) -> pb::Key {
    pb::Key { application_id: key.application_id.clone(), key_id: key.key_id.clone(), ..Default::default() }
}

#[tokio::test]
async fn a_text_beyond_its_limit_is_refused_wherever_it_stands() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let text = "x".repeat(60 * 1024);
    let bad = pb::CreateKeyRequest { description: text.clone(), request_id: text.clone(), ..create(&server) };
    server.refuses(&server.admin, CREATE, &bad, Code::ResourceExhausted, "MESSAGE_TOO_LARGE").await;
    let bad = pb::CreateKeyRequest { description: text.clone(), ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["description"]).await;
    let bad = pb::CreateKeyRequest { request_id: text.clone(), ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["request_id"]).await;
    let bad = pb::CreateKeyRequest { labels: vec![label("team", &text)], ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["labels[0].value"]).await;
    let bad = pb::CreateKeyRequest { permissions: vec![format!("{text}:read")], ..create(&server) };
    server.refuses_fields(CREATE, &bad, &["permissions[0]"]).await;
    let bad = pb::UpdateKeyRequest { key: Some(ids(&key)), update_mask: mask(&[&text]), wait: 0 };
    server.refuses_fields("KeyService/UpdateKey", &bad, &["update_mask"]).await;
    let bad = pb::RevokeKeyRequest {
        application_id: server.app.clone(),
        key_id: text.clone(),
        comment: String::new(),
        ..Default::default()
    };
    server.refuses_fields("KeyService/RevokeKey", &bad, &["key_id"]).await;
    let bad = pb::AddServiceAccountKeyRequest {
        service_account_id: server.admin.account_id.clone(),
        public_key_pem: text.clone(),
        wait: 0,
    };
    server.refuses_fields("ServiceAccountService/AddServiceAccountKey", &bad, &["public_key_pem"]).await;
    let etag = pb::RevokeKeyRequest { etag: text, reason: 0, ..revoke(&key) };
    server.refuses(&server.admin, "KeyService/RevokeKey", &etag, Code::Aborted, "ETAG_MISMATCH").await;
}

fn revoke(key: &pb::Key) -> pb::RevokeKeyRequest {
    pb::RevokeKeyRequest {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        ..Default::default()
    }
}
