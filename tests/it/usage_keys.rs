//! What a key says of its use, and which keys are unused.

use std::time::Duration;

use portcullis::pb;
use tonic::Code;

use crate::harness::{Server, refusal};

const LIST: &str = "KeyService/ListKeys";
const DAY: Duration = Duration::from_hours(24);

fn all(server: &Server) -> pb::ListKeysRequest {
    pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }
}

async fn list(server: &Server, request: &pb::ListKeysRequest) -> pb::ListKeysResponse {
    server.by_token(&server.admin, LIST, request).await.expect("list")
}

async fn unused(server: &Server) -> Vec<String> {
    server.flush().await;
    let listed = list(server, &pb::ListKeysRequest { unused_only: true, ..all(server) }).await;
    assert!(listed.keys.iter().all(|key| key.unused), "what is listed says so itself");
    let said = list(server, &all(server)).await.keys.into_iter().filter(|key| key.unused);
    let said: Vec<_> = said.map(|key| key.name).collect();
    let mut listed: Vec<_> = listed.keys.into_iter().map(|key| key.name).collect();
    assert_eq!(said, listed, "and what says so is listed");
    // Keys of one moment stand in no order.
    listed.sort();
    listed
}

async fn named(server: &Server, name: &str) -> pb::CreateKeyResponse {
    server.key_with(|request| request.name = name.to_owned()).await
}

#[tokio::test]
async fn every_answer_with_a_key_says_how_it_was_used() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key");
    assert_eq!((&key.usage, key.last_used_time, key.unused), (&None, None, false), "a new one");
    for _ in 0..3 {
        server.verdict(&made.secret).await;
    }
    let used = server.now();
    server.advance(Duration::from_secs(5)).await;
    assert_eq!(server.verdict(&format!("{}x", made.secret)).await, pb::Verdict::Malformed);
    let mut refused = pb::VerifyKeyRequest { required_permissions: vec!["a:b".to_owned()], ..Default::default() };
    refused.subject = Some(pb::verify_key_request::Subject::Secret(made.secret.clone()));
    let _: pb::VerifyKeyResponse =
        server.by_token(&server.admin, "KeyService/VerifyKey", &refused).await.expect("verify");

    let found = server.used_key(&key.key_id).await;
    let usage = pb::KeyUsage { requests_today: 4, requests_this_month: 4, denied_today: 1 };
    assert_eq!(found.usage, Some(usage));
    assert_eq!(found.last_used_time.expect("used").seconds, used.seconds(), "VALID that is, not asked about");
    let other = server.key().await.key.expect("key");
    let listed = list(&server, &all(&server)).await.keys;
    assert_eq!(listed, [found.clone(), other], "each with its own");
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    let wish = pb::Key { name: "renamed".to_owned(), ..found.clone() };
    let update = pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: 0 };
    let updated: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &update).await.expect("update");
    let revoked = server.revoke(&key).await;
    for key in [updated.key, revoked.key] {
        let key = key.expect("key");
        assert_eq!((key.usage, key.last_used_time), (found.usage, found.last_used_time));
    }
}

#[tokio::test]
async fn a_key_is_unused_after_ninety_days_without_a_valid_verdict() {
    let server = Server::start().await;
    let (idle, busy) = (named(&server, "idle").await, named(&server, "busy").await);
    let late = server.now();
    server.advance(30 * DAY).await;
    server.verdict(&busy.secret).await;
    let mut refused = pb::VerifyKeyRequest { required_permissions: vec!["a:b".to_owned()], ..Default::default() };
    refused.subject = Some(pb::verify_key_request::Subject::Secret(idle.secret.clone()));
    let _: pb::VerifyKeyResponse =
        server.by_token(&server.admin, "KeyService/VerifyKey", &refused).await.expect("verify");
    server.advance(60 * DAY - Duration::from_micros(1)).await;
    assert_eq!(server.now().since(late), 90 * DAY - Duration::from_micros(1));
    assert_eq!(unused(&server).await, Vec::<String>::new(), "a moment before");
    server.advance(Duration::from_micros(1)).await;
    assert_eq!(unused(&server).await, ["idle"], "a refused call is no use");
    server.advance(30 * DAY).await;
    assert_eq!(unused(&server).await, ["busy", "idle"]);
    server.verdict(&idle.secret).await;
    assert_eq!(unused(&server).await, ["busy"], "until it is used again");
    server.revoke(&busy.key.expect("key")).await;
    server.advance(91 * DAY).await;
    assert_eq!(unused(&server).await, ["idle"]);
    let with_revoked = pb::ListKeysRequest { unused_only: true, show_revoked: true, ..all(&server) };
    let with_revoked = list(&server, &with_revoked).await.keys;
    assert_eq!(with_revoked.len(), 1, "with a revoked key there is nothing left to do");
}

#[tokio::test]
async fn unused_keys_are_listed_in_pages_and_a_page_token_is_good_for_them_only() {
    let server = Server::start().await;
    for number in 0..7 {
        let made = named(&server, &format!("key {number}")).await;
        if number % 2 == 1 {
            server.advance(DAY).await;
            server.verdict(&made.secret).await;
        }
    }
    server.flush().await;
    // The odd ones were used later than the even ones were made, but for the last.
    server.advance(90 * DAY - 3 * DAY).await;
    let request = pb::ListKeysRequest { unused_only: true, page_size: 1, ..all(&server) };
    let (mut names, mut token) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = list(&server, &pb::ListKeysRequest { page_token: token, ..request.clone() }).await;
        names.extend(page.keys.into_iter().map(|key| key.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["key 0"]);
    server.advance(3 * DAY).await;
    let first = list(&server, &request).await;
    let second = pb::ListKeysRequest { page_token: first.next_page_token.clone(), page_size: 50, ..request.clone() };
    let rest = list(&server, &second).await.keys;
    let mut names: Vec<_> = first.keys.into_iter().chain(rest).map(|key| key.name).collect();
    names.sort();
    assert_eq!(names, (0..7).map(|number| format!("key {number}")).collect::<Vec<_>>());
    let other = pb::ListKeysRequest { page_token: first.next_page_token, ..all(&server) };
    let answer = server.by_token::<_, pb::ListKeysResponse>(&server.admin, LIST, &other).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));
}

#[tokio::test]
async fn a_page_of_many_keys_costs_as_many_statements_as_a_page_of_one() {
    let server = Server::start().await;
    for _ in 0..30 {
        let made = server.key().await;
        server.verdict(&made.secret).await;
    }
    server.flush().await;
    let cost = async |page_size: i32| {
        let before = server.store().statements();
        let page = list(&server, &pb::ListKeysRequest { page_size, ..all(&server) }).await;
        assert!(page.keys.iter().all(|key| key.usage.is_some_and(|usage| usage.requests_today == 1)));
        server.store().statements() - before
    };
    let (one, many) = (cost(1).await, cost(30).await);
    assert_eq!(one, many);
    assert!(many <= 10, "{many}");
}
