//! Bad input 30 and 37: pages, and what is looked for in names.

use std::time::Duration;

use portcullis::pb;
use tonic::Code;

use crate::harness::Server;

const LIST: &str = "KeyService/ListKeys";

async fn list(server: &Server, request: &pb::ListKeysRequest) -> pb::ListKeysResponse {
    server.by_token(&server.admin, LIST, request).await.expect("list")
}

fn all(server: &Server) -> pb::ListKeysRequest {
    pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }
}

#[tokio::test]
async fn a_page_is_fifty_unless_asked_and_never_negative() {
    let server = Server::start().await;
    for _ in 0..51 {
        server.key().await;
    }
    for (page_size, keys) in [(0, 50), (50, 50), (51, 51), (1_000, 51), (i32::MAX, 51)] {
        let page = list(&server, &pb::ListKeysRequest { page_size, ..all(&server) }).await;
        assert_eq!(page.keys.len(), keys, "{page_size}");
        assert_eq!(page.next_page_token.is_empty(), keys == 51);
    }
    for page_size in [-1, i32::MIN] {
        server.refuses_fields(LIST, &pb::ListKeysRequest { page_size, ..all(&server) }, &["page_size"]).await;
        let bad = pb::ListApplicationsRequest { page_size, ..Default::default() };
        server.refuses_fields("ApplicationService/ListApplications", &bad, &["page_size"]).await;
        let bad = pb::ListServiceAccountsRequest { page_size, ..Default::default() };
        server.refuses_fields("ServiceAccountService/ListServiceAccounts", &bad, &["page_size"]).await;
    }
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_only() {
    let server = Server::start().await;
    for _ in 0..3 {
        server.key().await;
    }
    let other = pb::Application { name: "other".to_owned(), ..Default::default() };
    let other = pb::CreateApplicationRequest { application: Some(other), ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &other).await.expect("application");
    let other = other.application.expect("application").application_id;

    let token = list(&server, &pb::ListKeysRequest { page_size: 1, ..all(&server) }).await.next_page_token;
    let with = |page_token: &str| pb::ListKeysRequest { page_token: page_token.to_owned(), ..all(&server) };
    assert_eq!(list(&server, &with(&token)).await.keys.len(), 2, "with another page_size");

    let list = pb::ListApplicationsRequest { page_size: 1, ..Default::default() };
    let listed: pb::ListApplicationsResponse =
        server.by_token(&server.admin, "ApplicationService/ListApplications", &list).await.expect("list");
    let foreign = listed.next_page_token;
    assert!(!foreign.is_empty());
    let mut bad = vec![
        pb::ListKeysRequest { show_revoked: true, ..with(&token) },
        pb::ListKeysRequest { environment: 1, ..with(&token) },
        pb::ListKeysRequest { name_prefix: "k".to_owned(), ..with(&token) },
        pb::ListKeysRequest { application_id: other, ..with(&token) },
    ];
    let flipped = format!("{}{}", if token.starts_with('A') { 'B' } else { 'A' }, &token[1..]);
    let long = "A".repeat(60 * 1024);
    for text in
        [&token[1..], &token[..8], &flipped, &foreign, "x", "=", "%", "\0", "null", "é", &format!("{token}="), &long]
    {
        bad.push(with(text));
    }
    for bad in bad {
        server.refuses(&server.admin, LIST, &bad, Code::InvalidArgument, "PAGE_TOKEN_INVALID").await;
    }
    let foreign = pb::ListServiceAccountsRequest { page_token: token.clone(), ..Default::default() };
    let method = "ServiceAccountService/ListServiceAccounts";
    server.refuses(&server.admin, method, &foreign, Code::InvalidArgument, "PAGE_TOKEN_INVALID").await;
    let both = pb::ListKeysRequest { page_size: -1, ..with("x") };
    server.refuses_fields(LIST, &both, &["page_size"]).await;
}

const NAMES: [&str; 12] = [
    "100%",
    "100x",
    "a_b",
    "axb",
    "back\\slash",
    "o'brien",
    "o''brien",
    "\"quoted\"",
    "[abc]*?",
    "öl",
    "Öl",
    "'; DROP TABLE api_key; --",
];

/// Looks for each name, and for what would match more if it were SQL.
async fn finds_only_itself(found: impl AsyncFn(&str) -> Vec<String>) {
    for name in NAMES {
        assert_eq!(found(name).await, [name]);
    }
    for (prefix, names) in
        [("100", vec!["100%", "100x"]), ("a", vec!["a_b", "axb"]), ("o'", vec!["o'brien", "o''brien"])]
    {
        assert_eq!(found(prefix).await, names, "{prefix}");
    }
    for nothing in ["%", "_", "a%", "a_x", "1__", "*", "A", "O", "\\", "' OR '1'='1", "öl ", "\u{202e}"] {
        assert!(found(nothing).await.is_empty(), "{nothing}");
    }
}

#[tokio::test]
async fn a_name_prefix_is_taken_by_its_letters() {
    let server = Server::start().await;
    for name in NAMES {
        server.setup.clock.advance(Duration::from_millis(2));
        server.key_with(|request| request.name = name.to_owned()).await;
        let application = pb::Application { name: name.to_owned(), ..Default::default() };
        let request = pb::CreateApplicationRequest { application: Some(application), ..Default::default() };
        let method = "ApplicationService/CreateApplication";
        let _: pb::CreateApplicationResponse = server.signed(&server.admin, method, &request).await.expect("create");
        let account = pb::ServiceAccount { name: name.to_owned(), ..Default::default() };
        server.admin.create_account(&server, account).await.expect("account");
    }
    let names = async |prefix: &str| -> Vec<String> {
        let request = pb::ListKeysRequest { name_prefix: prefix.to_owned(), ..all(&server) };
        list(&server, &request).await.keys.into_iter().map(|key| key.name).collect()
    };
    finds_only_itself(names).await;
    let names = async |prefix: &str| -> Vec<String> {
        let request = pb::ListApplicationsRequest { name_prefix: prefix.to_owned(), ..Default::default() };
        let listed: pb::ListApplicationsResponse =
            server.by_token(&server.admin, "ApplicationService/ListApplications", &request).await.expect("list");
        listed.applications.into_iter().map(|application| application.name).collect()
    };
    finds_only_itself(names).await;
    let names = async |prefix: &str| -> Vec<String> {
        let request = pb::ListServiceAccountsRequest { name_prefix: prefix.to_owned(), ..Default::default() };
        let method = "ServiceAccountService/ListServiceAccounts";
        let listed: pb::ListServiceAccountsResponse =
            server.by_token(&server.admin, method, &request).await.expect("list");
        // The admin's own name starts with an `a`.
        listed.service_accounts.into_iter().map(|account| account.name).filter(|name| name != "admin").collect()
    };
    finds_only_itself(names).await;
    for prefix in ["a\0b", &"é".repeat(129)] {
        let bad = pb::ListKeysRequest { name_prefix: prefix.to_owned(), ..all(&server) };
        server.refuses_fields(LIST, &bad, &["name_prefix"]).await;
    }
}
