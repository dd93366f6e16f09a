//! What is told, to whom, in which order, and until when.

use std::{collections::HashSet, time::Duration};

use portcullis::pb;

use crate::harness::{
    Hook, Rows, Server, mask,
    receiver::{Receiver, Reply},
    webhook::{ROTATE, UPDATE},
};

const PENDING: i32 = pb::DeliveryState::Pending as i32;
const DELIVERED: i32 = pb::DeliveryState::Delivered as i32;
const FAILED: i32 = pb::DeliveryState::Failed as i32;
const HELD: i32 = pb::DeliveryState::Held as i32;

async fn rename(server: &Server, key: &pb::Key, name: &str) {
    let key = pb::Key {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        name: name.to_owned(),
        ..Default::default()
    };
    let request = pb::UpdateKeyRequest { key: Some(key), ..Default::default() };
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &request).await.expect("update");
}

/// Lets the time of an attempt come, and waits until it was made.
async fn attempt(server: &Server, hook: &Hook, after: Duration, attempts: i32) {
    server.advance(after).await;
    server.until_deliveries(hook, |all| all.iter().any(|one| one.attempts == attempts)).await;
}

/// More than the longest each of them can be: five seconds to nine and a half hours.
const WAITS: [u64; 7] = [6, 340, 2_000, 8_000, 20_000, 28_000, 38_000];

#[tokio::test]
async fn what_happens_to_a_key_is_told_signed_once_and_in_the_form_of_standard_webhooks() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let hook = server.hook(&format!("{}?to=me", receiver.url)).await;
    let made = server.key_with(|request| request.name = "Käse".to_owned()).await;
    let key = made.key.expect("key");
    rename(&server, &key, "Brot").await;
    server.revoke(&key).await;
    let mut ids = HashSet::new();
    for (kind, name) in [("key.created", "Käse"), ("key.updated", "Brot"), ("key.revoked", "Brot")] {
        let received = receiver.next().await;
        assert!(received.head.starts_with("POST /hook?to=me HTTP/1.1"), "{}", received.head);
        assert_eq!(received.header("content-type"), "application/json");
        assert_eq!((received.signed_by(&hook.secret), received.signatures()), (1, 1));
        assert_eq!(received.header("webhook-timestamp"), server.now().seconds().to_string());
        assert!(received.id().starts_with("msg_") && ids.insert(received.id().to_owned()));
        let json = received.json();
        assert_eq!(json.as_object().expect("an object").keys().collect::<Vec<_>>(), ["data", "timestamp", "type"]);
        assert_eq!((json["type"].as_str(), json["data"]["key"]["name"].as_str()), (Some(kind), Some(name)));
        assert_eq!(json["data"]["application_id"].as_str(), Some(server.app.as_str()));
        assert_eq!(json["data"]["key"]["prefix"].as_str(), Some(key.prefix.as_str()));
        assert!(!received.body.contains(&made.secret), "never the text of a key");
    }
    receiver.nothing().await;
    let all = server.until_deliveries(&hook, |all| all.iter().all(|one| one.state == DELIVERED)).await;
    let shown: Vec<_> = all.iter().map(|one| (one.event_type.as_str(), one.attempts, one.last_status)).collect();
    assert_eq!(shown, [("key.created", 1, 200), ("key.updated", 1, 200), ("key.revoked", 1, 200)]);
    assert!(all.iter().all(|one| ids.contains(&one.message_id) && one.key_id == key.key_id));
    assert!(all.iter().all(|one| one.next_attempt_time.is_none() && one.last_error.is_empty()));
}

#[tokio::test]
async fn each_webhook_hears_of_its_application_and_its_types_or_of_all() {
    let (mut all, mut revocations, mut other) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let server = Server::start().await;
    let application = pb::Application { name: "other".to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(application), request_id: String::new() };
    let made: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let elsewhere = made.application.expect("application").application_id;
    server.hook_with(&all.url, |webhook| webhook.application_id.clear()).await;
    server.hook_with(&revocations.url, |webhook| webhook.event_types = vec!["key.revoked".to_owned()]).await;
    server.hook_with(&other.url, |webhook| webhook.application_id = elsewhere.clone()).await;

    let here = server.key().await.key.expect("key");
    let there = server.key_with(|request| request.application_id = elsewhere.clone()).await.key.expect("key");
    server.revoke(&here).await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        let next = all.next().await;
        heard.push((next.kind(), next.key_id()));
    }
    heard.sort();
    let mut happened = vec![
        ("key.created".to_owned(), here.key_id.clone()),
        ("key.created".to_owned(), there.key_id.clone()),
        ("key.revoked".to_owned(), here.key_id.clone()),
    ];
    happened.sort();
    assert_eq!(heard, happened);
    let next = revocations.next().await;
    assert_eq!((next.kind().as_str(), next.key_id()), ("key.revoked", here.key_id));
    let next = other.next().await;
    assert_eq!((next.kind().as_str(), next.key_id()), ("key.created", there.key_id));
    for receiver in [&mut all, &mut revocations, &mut other] {
        receiver.nothing().await;
    }
}

#[tokio::test]
async fn what_failed_is_sent_again_with_the_same_id_and_what_comes_after_it_waits_for_it() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(500));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let key = server.key().await.key.expect("key");
    let first = receiver.next().await;
    rename(&server, &key, "second").await;
    server.revoke(&key).await;
    receiver.nothing().await;
    let another = server.key().await.key.expect("key");
    let aside = receiver.next().await;
    assert_eq!(aside.key_id(), another.key_id, "another key does not wait");

    receiver.replies(Reply::Status(200));
    receiver.nothing().await;
    server.until_deliveries(&hook, |all| all.iter().filter(|one| one.attempts == 1).count() == 2).await;
    server.advance(Duration::from_secs(6)).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(receiver.next().await);
    }
    receiver.nothing().await;
    let of_first: Vec<_> =
        told.iter().filter(|one| one.key_id() == key.key_id).map(|one| (one.kind(), one.id())).collect();
    let kinds: Vec<_> = of_first.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["key.created", "key.updated", "key.revoked"], "in order");
    assert_eq!(of_first[0].1, first.id(), "the same id");
    assert!(told.iter().any(|one| one.id() == aside.id()), "the same id");
    assert!(told.iter().all(|one| one.signed_by(&hook.secret) == 1));
    let all = server.until_deliveries(&hook, |all| all.iter().all(|one| one.state == DELIVERED)).await;
    let mut attempts: Vec<_> = all.iter().map(|one| one.attempts).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 2, 2]);
}

#[tokio::test]
async fn after_a_day_of_nothing_it_is_disabled_with_notice_and_enabling_it_sends_what_waited_in_order() {
    let (mut receiver, mut watcher) = (Receiver::start().await, Receiver::start().await);
    let url = receiver.url.clone();
    let server = Server::start().await;
    let hook = server.hook(&url).await;
    let of_it = |webhook: &mut pb::Webhook| webhook.event_types = vec!["webhook.disabled".to_owned()];
    server.hook_with(&watcher.url, of_it).await;
    let key = server.key().await.key.expect("key");
    let first = receiver.next().await;
    server.until_deliveries(&hook, |all| all[0].state == DELIVERED).await;
    let gone = receiver.goes().await; // The port is dead from now on.

    rename(&server, &key, "missed").await;
    server.until_deliveries(&hook, |all| all.len() == 2 && all[1].attempts == 1).await;
    server.revoke(&key).await;
    for (wait, attempts) in WAITS.into_iter().zip(2..) {
        assert!(!server.shown(&hook).await.disabled, "after {} attempts", attempts - 1);
        attempt(&server, &hook, Duration::from_secs(wait), attempts).await;
    }
    let told = watcher.next().await;
    assert_eq!(told.kind(), "webhook.disabled");
    let data = &told.json()["data"];
    assert_eq!(data["webhook"]["webhook_id"].as_str(), Some(hook.webhook.webhook_id.as_str()));
    assert_eq!((data["webhook"]["host"].as_str(), data["reason"].as_str()), (Some("127.0.0.1"), Some("failing")));
    assert!(data["last_error"].as_str().is_some_and(|why| why.contains("connection refused")), "{data}");
    let shown = server.shown(&hook).await;
    assert!(shown.disabled && shown.etag != hook.webhook.etag);
    assert_eq!(shown.disabled_reason(), pb::WebhookDisabledReason::Failing);
    let states: Vec<_> = server.deliveries(&hook).await.iter().map(|one| one.state).collect();
    assert_eq!(states, [DELIVERED, HELD, HELD]);
    let audit = server.last_audit().await;
    assert_eq!((audit.account, audit.method.as_str(), audit.outcome.as_str()), (None, "webhooks", "OK"));
    watcher.nothing().await;

    // What happens while it is disabled is not for it.
    server.key().await;
    server.advance(Duration::from_hours(48)).await;
    let mut receiver = gone.comes_back();
    receiver.nothing().await;
    let enabled = server.set_disabled(&hook, false).await;
    assert_eq!(enabled.disabled_reason(), pb::WebhookDisabledReason::Unspecified);
    let (second, third) = (receiver.next().await, receiver.next().await);
    assert_eq!((second.kind().as_str(), third.kind().as_str()), ("key.updated", "key.revoked"));
    assert!(first.id() != second.id() && second.signed_by(&hook.secret) == 1);
    receiver.nothing().await;
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn one_message_that_is_refused_for_a_day_is_given_up_while_others_arrive() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    receiver.replies(Reply::Status(422));
    let key = server.key().await.key.expect("key");
    for (wait, attempts) in WAITS.into_iter().zip(1..) {
        receiver.next().await;
        server.until_deliveries(&hook, |all| all[0].attempts == attempts).await;
        // Another one arrives in between.
        receiver.replies(Reply::Status(204));
        server.key().await;
        receiver.next().await;
        let others = |all: &[pb::WebhookDelivery]| {
            all.iter().filter(|one| one.key_id != key.key_id).all(|one| one.state == DELIVERED)
        };
        server.until_deliveries(&hook, others).await;
        receiver.replies(Reply::Status(422));
        rename(&server, &key, &format!("after {attempts}")).await;
        server.advance(Duration::from_secs(wait)).await;
    }
    receiver.next().await;
    receiver.replies(Reply::Status(200));
    let all = server.until_deliveries(&hook, |all| all[0].state == FAILED).await;
    assert_eq!((all[0].attempts, all[0].last_status, all[0].last_error.as_str()), (8, 422, "HTTP 422"));
    assert!(!server.shown(&hook).await.disabled);
    for number in 1..=7 {
        let next = receiver.next().await;
        assert_eq!(next.json()["data"]["key"]["name"].as_str(), Some(format!("after {number}").as_str()));
    }
}

#[tokio::test]
async fn what_waits_goes_to_the_new_url_at_once_and_from_the_first_attempt_on() {
    let (mut bad, mut good) = (Receiver::start().await, Receiver::start().await);
    bad.replies(Reply::Status(500));
    let server = Server::start().await;
    let hook = server.hook(&bad.url).await;
    server.key().await;
    let first = bad.next().await;
    server.until_deliveries(&hook, |all| all[0].attempts == 1).await;
    attempt(&server, &hook, Duration::from_secs(6), 2).await;
    let webhook = pb::Webhook { url: good.url.clone(), ..hook.webhook.clone() };
    let request = pb::UpdateWebhookRequest { webhook: Some(webhook), update_mask: mask(&["url"]) };
    let _: pb::UpdateWebhookResponse = server.signed(&server.admin, UPDATE, &request).await.expect("update");
    assert_eq!(good.next().await.id(), first.id());
    let all = server.until_deliveries(&hook, |all| all[0].state == DELIVERED).await;
    assert_eq!(all[0].attempts, 1);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_disabled_at_once() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(410));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    server.key().await;
    receiver.next().await;
    let all = server.until_deliveries(&hook, |all| all[0].state == HELD && all[0].attempts == 1).await;
    assert_eq!(all[0].last_status, 410);
    assert_eq!(server.shown(&hook).await.disabled_reason(), pb::WebhookDisabledReason::Gone);
    server.key().await;
    server.advance(Duration::from_hours(48)).await;
    receiver.nothing().await;
}

#[tokio::test]
async fn a_receiver_that_is_down_holds_up_no_other() {
    let (mut good, bad) = (Receiver::start().await, Receiver::start().await);
    bad.replies(Reply::Hold);
    let server = Server::start().await;
    let slow = server.hook(&bad.url).await;
    for _ in 0..10 {
        server.key().await;
    }
    server.hook(&good.url).await;
    let started = std::time::Instant::now();
    for _ in 0..20 {
        let key = server.key().await.key.expect("key");
        assert_eq!(good.next().await.key_id(), key.key_id);
    }
    assert!(started.elapsed() < Duration::from_secs(14), "before any attempt at the other could end");
    assert!(server.deliveries(&slow).await.iter().all(|one| one.state == PENDING));
}

#[tokio::test]
async fn both_secrets_sign_for_a_day_and_then_the_new_one_alone() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let request = pb::RotateWebhookSecretRequest {
        application_id: server.app.clone(),
        webhook_id: hook.webhook.webhook_id.clone(),
        ..Default::default()
    };
    let rotated: pb::RotateWebhookSecretResponse =
        server.signed(&server.admin, ROTATE, &request).await.expect("rotate");
    let until = rotated.webhook.expect("webhook").old_secret_end_time.expect("a time");
    assert_eq!(until.seconds, server.now().seconds() + 24 * 3600);
    server.key().await;
    let both = receiver.next().await;
    assert_eq!((both.signed_by(&hook.secret), both.signed_by(&rotated.secret), both.signatures()), (1, 1, 2));
    server.advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(server.shown(&hook).await.old_secret_end_time, None);
    server.key().await;
    let new = receiver.next().await;
    assert_eq!((new.signed_by(&hook.secret), new.signed_by(&rotated.secret), new.signatures()), (0, 1, 1));
    let request = pb::RotateWebhookSecretRequest { overlap: Some(prost_types::Duration::default()), ..request };
    let at_once: pb::RotateWebhookSecretResponse =
        server.signed(&server.admin, ROTATE, &request).await.expect("rotate");
    server.key().await;
    let newest = receiver.next().await;
    assert_eq!((newest.signed_by(&at_once.secret), newest.signatures()), (1, 1), "the old one is known to somebody");
}

#[tokio::test]
async fn what_waits_for_a_disabled_webhook_goes_out_when_it_is_enabled_or_is_forgotten_after_a_week() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(503));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    server.key().await;
    receiver.next().await;
    server.until_deliveries(&hook, |all| all[0].attempts == 1).await;
    assert_eq!(server.set_disabled(&hook, true).await.disabled_reason(), pb::WebhookDisabledReason::Administrator);
    receiver.replies(Reply::Status(200));
    server.advance(Duration::from_hours(24)).await;
    receiver.nothing().await;
    let day = Duration::from_hours(24);
    let forgotten = server.store().forget_deliveries(server.now().saturating_sub(7 * day)).await.expect("forget");
    assert_eq!((forgotten.rows, forgotten.held), (0, 0));
    server.advance(7 * day).await;
    let forgotten = server.store().forget_deliveries(server.now().saturating_sub(7 * day)).await.expect("forget");
    assert_eq!((forgotten.rows, forgotten.held), (2, 1), "the delivery and its notice");
    server.set_disabled(&hook, false).await;
    receiver.nothing().await;
    server.key().await;
    receiver.next().await;
}

#[tokio::test]
async fn a_clock_that_jumps_an_hour_either_way_loses_nothing_and_makes_no_storm() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    receiver.replies(Reply::Status(500));
    let hour = 3_600_000_000;
    server.key().await;
    let first = receiver.next().await;
    server.until_deliveries(&hook, |all| all[0].attempts == 1).await;
    server.setup.clock.step(hour);
    server.advance(Duration::from_millis(1)).await;
    assert_eq!(receiver.next().await.id(), first.id(), "early, and once");
    receiver.nothing().await;
    server.until_deliveries(&hook, |all| all[0].attempts == 2).await;
    server.key().await;
    let second = receiver.next().await;
    server.until_deliveries(&hook, |all| all[1].attempts == 1).await;
    // The database's time does not go back while the server runs: it stands still.
    server.setup.clock.step(-hour);
    receiver.nothing().await;
    // For the next process it has gone back: what is new goes out all the same.
    let server = server.restart().await;
    server.key().await;
    let third = receiver.next().await;
    server.until_deliveries(&hook, |all| all[2].attempts == 1).await;
    receiver.replies(Reply::Status(200));
    server.advance(Duration::from_hours(2)).await;
    server.until_deliveries(&hook, |all| all.iter().all(|one| one.state == DELIVERED)).await;
    let arrived: Vec<_> = receiver.all().await.iter().map(|one| one.id().to_owned()).collect();
    assert_eq!(arrived.len(), 3, "each once more: {arrived:?}");
    assert!([first, second, third].iter().all(|one| arrived.iter().any(|id| id == one.id())));
}

#[tokio::test]
async fn what_changes_nothing_tells_nobody() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    server.hook(&receiver.url).await;
    server.revoke(&key).await;
    let bad = pb::RevokeKeyRequest { etag: "r1".to_owned(), ..Default::default() };
    server.signed::<_, ()>(&server.admin, "KeyService/RevokeKey", &bad).await.expect_err("refused");
    receiver.nothing().await;
}
