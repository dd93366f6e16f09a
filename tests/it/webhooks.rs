//! WebhookService: who is told, and where.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use portcullis::{notify::vault::Vault, pb};
use tonic::{Code, Status};

use crate::harness::{
    Hook, Persona, Rows, Server, Setup, mask, receiver, refusal, uuid,
    webhook::{CREATE, DELETE, DELIVERIES, GET, LIST, ROTATE, TEST, UPDATE},
};

const URL: &str = "http://127.0.0.1:9/hook";

async fn list(server: &Server, by: &Persona, application: &str) -> Result<Vec<pb::Webhook>, Status> {
    let request = pb::ListWebhooksRequest { application_id: application.to_owned(), ..Default::default() };
    let listed: pb::ListWebhooksResponse = server.by_token(by, LIST, &request).await?;
    Ok(listed.webhooks)
}

#[tokio::test]
async fn a_webhook_is_made_once_shown_listed_changed_and_deleted() {
    let server = Server::start().await;
    let wish = pb::Webhook {
        application_id: server.app.clone(),
        url: "http://127.0.0.1:9/hook?a=b".to_owned(),
        event_types: vec!["key.revoked".to_owned(), "key.created".to_owned(), "key.revoked".to_owned()],
        description: "for the \"ops\"".to_owned(),
        ..Default::default()
    };
    let request = pb::CreateWebhookRequest { webhook: Some(wish), request_id: uuid() };
    let made: pb::CreateWebhookResponse = server.signed(&server.admin, CREATE, &request).await.expect("create");
    let hook = Hook { webhook: made.webhook.clone().expect("webhook"), secret: made.secret.clone() };
    assert_eq!(hook.webhook.event_types, ["key.revoked", "key.created"]);
    assert_eq!(hook.webhook.url, "http://127.0.0.1:9/hook?a=b");
    assert_eq!((hook.webhook.disabled, hook.webhook.revision), (false, made.revision));
    let bytes = BASE64_STANDARD.decode(hook.secret.strip_prefix("whsec_").expect("the prefix")).expect("base64");
    assert_eq!(bytes.len(), 32);
    assert!(!format!("{made:?}").contains(&hook.secret), "Debug does not show it");

    let again = server.signed::<_, ()>(&server.admin, CREATE, &request).await;
    assert_eq!(refusal(again), (Code::AlreadyExists, "SECRET_ALREADY_RETURNED".to_owned()));
    assert_eq!(list(&server, &server.admin, &server.app).await.expect("list"), std::slice::from_ref(&hook.webhook));
    let server = server.restart().await;
    assert_eq!(server.shown(&hook).await, hook.webhook);

    server.setup.clock.advance(Duration::from_secs(1));
    let wish = pb::Webhook { url: "http://127.0.0.1:9/other".to_owned(), event_types: vec![], ..hook.webhook.clone() };
    let request = pb::UpdateWebhookRequest { webhook: Some(wish), update_mask: mask(&["url", "event_types"]) };
    let updated: pb::UpdateWebhookResponse = server.signed(&server.admin, UPDATE, &request).await.expect("update");
    let updated = updated.webhook.expect("webhook");
    assert_eq!((updated.url.as_str(), updated.event_types.len()), ("http://127.0.0.1:9/other", 0));
    assert_eq!(updated.description, hook.webhook.description);
    assert_ne!((&updated.etag, &updated.update_time), (&hook.webhook.etag, &hook.webhook.update_time));
    server.refuses(&server.admin, UPDATE, &request, Code::Aborted, "ETAG_MISMATCH").await;
    let stale = pb::DeleteWebhookRequest {
        application_id: server.app.clone(),
        webhook_id: updated.webhook_id.clone(),
        etag: hook.webhook.etag.clone(),
    };
    server.refuses(&server.admin, DELETE, &stale, Code::Aborted, "ETAG_MISMATCH").await;
    let request = pb::DeleteWebhookRequest { etag: updated.etag, ..stale };
    let _: pb::DeleteWebhookResponse = server.signed(&server.admin, DELETE, &request).await.expect("delete");
    server.refuses(&server.admin, DELETE, &request, Code::NotFound, "WEBHOOK_NOT_FOUND").await;
    assert!(list(&server, &server.admin, &server.app).await.expect("list").is_empty());
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_field_by_field() {
    let server = Server::start().await;
    let create = |webhook: pb::Webhook| pb::CreateWebhookRequest { webhook: Some(webhook), request_id: String::new() };
    let good = pb::Webhook { application_id: server.app.clone(), url: URL.to_owned(), ..Default::default() };
    for url in
        ["", "example.com", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.0.0.1/#x", "http://127.0.0.1/ x"]
    {
        let bad = create(pb::Webhook { url: url.to_owned(), ..good.clone() });
        server.refuses_fields(CREATE, &bad, &["webhook.url"]).await;
    }
    let bad = pb::Webhook {
        webhook_id: "wh_1".to_owned(),
        application_id: "x".to_owned(),
        url: String::new(),
        event_types: vec!["key.created".to_owned(), "key.*".to_owned(), "webhook.test".to_owned()],
        description: "x".repeat(1025),
        etag: "r1".to_owned(),
        ..Default::default()
    };
    let mut fields = ["webhook.webhook_id", "webhook.application_id", "webhook.url", "webhook.event_types[1]"].to_vec();
    fields.extend(["webhook.event_types[2]", "webhook.description", "webhook.etag"]);
    fields.sort_unstable();
    server.refuses_fields(CREATE, &create(bad), &fields).await;
    server.refuses_fields(CREATE, &pb::CreateWebhookRequest::default(), &["webhook"]).await;
    let too_long = pb::RotateWebhookSecretRequest {
        overlap: Some(prost_types::Duration { seconds: 7 * 24 * 3600 + 1, nanos: 0 }),
        ..Default::default()
    };
    server.refuses_fields(ROTATE, &too_long, &["overlap", "webhook_id"]).await;
    let nowhere = create(pb::Webhook { application_id: "app_0000000000000000000000".to_owned(), ..good });
    server.refuses(&server.admin, CREATE, &nowhere, Code::NotFound, "APPLICATION_NOT_FOUND").await;
}

#[tokio::test]
async fn a_url_that_leads_inside_is_refused_unless_the_operator_allows_it() {
    let mut setup = Setup::default();
    setup.notify.reach = Default::default();
    let server = Server::start_with(setup).await;
    let good = server.hook("https://93.184.215.14/hook").await;
    for url in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:a00:1]/",
        "https://[fd00:ec2::254]/",
        "https://2130706433/",
        "http://93.184.215.14/hook",
    ] {
        let webhook = pb::Webhook { application_id: server.app.clone(), url: url.to_owned(), ..Default::default() };
        let create = pb::CreateWebhookRequest { webhook: Some(webhook.clone()), request_id: String::new() };
        server.refuses_fields(CREATE, &create, &["webhook.url"]).await;
        let webhook = pb::Webhook { webhook_id: good.webhook.webhook_id.clone(), ..webhook };
        let update = pb::UpdateWebhookRequest { webhook: Some(webhook), update_mask: mask(&["url"]) };
        server.refuses_fields(UPDATE, &update, &["webhook.url"]).await;
    }
}

#[tokio::test]
async fn who_may_not_see_an_application_is_told_nothing_of_its_webhooks() {
    let server = Server::start().await;
    let hook = server.hook(URL).await;
    let of_all = server.hook_with(URL, |webhook| webhook.application_id.clear()).await;
    let application = pb::Application { name: "other".to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(application), request_id: String::new() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = other.application.expect("application").application_id;
    let scoped = |role: pb::Role| pb::ServiceAccount {
        name: "scoped".to_owned(),
        roles: vec![role.into()],
        application_ids: vec![other.clone()],
        ..Default::default()
    };
    let stranger = server.admin.hire(&server, 1, scoped(pb::Role::Admin)).await;
    let outside = (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned());
    assert_eq!(refusal(server.try_hook(&stranger, URL, |_| {}).await), outside);
    assert_eq!(refusal(server.try_hook(&stranger, URL, |webhook| webhook.application_id.clear()).await), outside);
    for application in [&server.app, ""] {
        assert_eq!(refusal(list(&server, &stranger, application).await), outside);
    }
    for (method, id) in
        [(GET, &hook.webhook), (TEST, &hook.webhook), (DELETE, &of_all.webhook), (ROTATE, &of_all.webhook)]
    {
        let request =
            pb::GetWebhookRequest { application_id: id.application_id.clone(), webhook_id: id.webhook_id.clone() };
        assert_eq!(refusal(server.signed::<_, ()>(&stranger, method, &request).await), outside, "{method}");
        // Named as one of theirs it is not there.
        let request = pb::GetWebhookRequest { application_id: other.clone(), ..request };
        let not_found = (Code::NotFound, "WEBHOOK_NOT_FOUND".to_owned());
        assert_eq!(refusal(server.signed::<_, ()>(&stranger, method, &request).await), not_found, "{method}");
    }
    assert!(list(&server, &stranger, &other).await.expect("theirs").is_empty());
    assert_eq!(list(&server, &server.admin, "").await.expect("of all"), [of_all.webhook]);
}

#[tokio::test]
async fn an_application_has_twenty_at_most_and_those_of_all_applications_count_apart() {
    let server = Server::start().await;
    let first = server.hook(URL).await;
    for _ in 1..20 {
        server.hook(URL).await;
    }
    let many = (Code::FailedPrecondition, "TOO_MANY_WEBHOOKS".to_owned());
    assert_eq!(refusal(server.try_hook(&server.admin, URL, |_| {}).await), many);
    server.hook_with(URL, |webhook| webhook.application_id.clear()).await;
    let request = pb::ListWebhooksRequest { application_id: server.app.clone(), page_size: 15, ..Default::default() };
    let page: pb::ListWebhooksResponse = server.by_token(&server.admin, LIST, &request).await.expect("page");
    let rest = pb::ListWebhooksRequest { page_token: page.next_page_token, ..request };
    let rest: pb::ListWebhooksResponse = server.by_token(&server.admin, LIST, &rest).await.expect("page");
    assert_eq!((page.webhooks.len(), rest.webhooks.len(), rest.next_page_token.as_str()), (15, 5, ""));
    let delete = pb::DeleteWebhookRequest {
        application_id: server.app.clone(),
        webhook_id: first.webhook.webhook_id,
        ..Default::default()
    };
    let _: pb::DeleteWebhookResponse = server.signed(&server.admin, DELETE, &delete).await.expect("delete");
    server.hook(URL).await;
}

#[tokio::test]
async fn without_a_key_to_encrypt_with_no_webhook_is_made_and_the_answer_says_how() {
    let mut setup = Setup::default();
    setup.notify.vault = Vault::default();
    let server = Server::start_with(setup).await;
    let status = server.try_hook(&server.admin, URL, |_| {}).await.expect_err("refused");
    assert!(status.message().contains("--secrets-key-file"), "{}", status.message());
    assert!(status.message().contains("openssl rand -base64 32"), "{}", status.message());
    assert_eq!(refusal::<()>(Err(status)), (Code::FailedPrecondition, "SECRETS_KEY_MISSING".to_owned()));
}

#[tokio::test]
async fn no_secret_lies_in_the_database_in_plain_and_none_in_the_audit_log_at_all() {
    let server = Server::start().await;
    let hook = server.hook(URL).await;
    let request = pb::RotateWebhookSecretRequest {
        application_id: server.app.clone(),
        webhook_id: hook.webhook.webhook_id.clone(),
        request_id: uuid(),
        ..Default::default()
    };
    let rotated: pb::RotateWebhookSecretResponse =
        server.signed(&server.admin, ROTATE, &request).await.expect("rotate");
    assert_ne!(rotated.secret, hook.secret);
    let again = server.signed::<_, ()>(&server.admin, ROTATE, &request).await;
    assert_eq!(refusal(again), (Code::AlreadyExists, "SECRET_ALREADY_RETURNED".to_owned()));
    let rows = Rows::of(&server).await;
    let sealed = rows.texts("SELECT hex(secret) || ' ' || hex(old_secret) FROM webhook").await;
    let audits =
        rows.texts("SELECT coalesce(\"before\", '') || coalesce(\"after\", '') FROM audit_event").await.concat();
    assert!(audits.contains(&hook.webhook.webhook_id));
    for sealed in sealed[0].split(' ') {
        assert!(sealed.len() > 100 && !audits.to_uppercase().contains(sealed));
    }
    assert!(!audits.contains("\"secret\"") && !audits.contains("old_secret\""));
    let whole = server.data.written().await;
    for secret in [&hook.secret, &rotated.secret] {
        let text = secret.strip_prefix("whsec_").expect("prefix");
        let bytes = BASE64_STANDARD.decode(text).expect("base64");
        for plain in [text.as_bytes(), &bytes] {
            assert!(!whole.windows(plain.len()).any(|window| window == plain));
        }
    }
    assert!(whole.windows(5).any(|window| window == b"/hook"), "it was looked at");
}

#[tokio::test]
async fn a_webhook_whose_key_was_taken_away_is_told_of_and_nothing_is_lost() {
    let mut receiver = receiver::Receiver::start().await;
    let mut server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let right = server.setup.notify.vault.clone();
    server.setup.notify.vault = Vault::read(&BASE64_STANDARD.encode([7; 32])).expect("another key");
    let mut server = server.restart().await;
    assert!(server.try_out(&hook).await.error.contains("not in the secrets key file"));
    server.key().await;
    server.until_deliveries(&hook, |all| all.iter().any(|one| one.last_error.contains("secrets key file"))).await;
    receiver.nothing().await;
    server.setup.notify.vault = right;
    let server = server.restart().await;
    server.advance(Duration::from_secs(6)).await;
    assert_eq!(receiver.next().await.signed_by(&hook.secret), 1);
    let request = pb::ListWebhookDeliveriesRequest {
        application_id: server.app.clone(),
        webhook_id: hook.webhook.webhook_id.clone(),
        state: 9,
        ..Default::default()
    };
    server.refuses_fields(DELIVERIES, &request, &["state"]).await;
}

#[tokio::test]
async fn a_secrets_key_that_is_missing_for_days_disables_nothing_and_what_waited_is_tried_as_ever_once_it_is_there() {
    let mut receiver = receiver::Receiver::start().await;
    let mut server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    receiver.replies(receiver::Reply::Status(503));
    let [first, second] = [server.key().await, server.key().await].map(|made| made.key.expect("key"));
    receiver.next().await;
    receiver.next().await;
    server.until_deliveries(&hook, |all| all.iter().all(|one| one.attempts == 1)).await;
    let right = std::mem::take(&mut server.setup.notify.vault);
    let mut server = server.restart().await;
    // Something waits behind what waits.
    server.update(&first, &["name"], pb::Key { name: "waits".to_owned(), ..Default::default() }).await;
    for hours in [1, 5, 10, 20, 40] {
        server.advance(Duration::from_hours(hours)).await;
        let now = server.setup.clock.now().seconds();
        let tried = |one: &pb::WebhookDelivery| one.last_attempt_time.is_some_and(|time| time.seconds >= now);
        let all = server.until_deliveries(&hook, |all| all.iter().any(tried)).await;
        assert!(all.iter().all(|one| one.attempts <= 1), "no attempt that was none: {all:?}");
        let told = all.iter().find(|one| tried(one)).map(|one| one.last_error.as_str());
        assert!(told.is_some_and(|told| told.contains("not in the secrets key file")), "{all:?}");
    }
    let failing = "SELECT count(*) FROM webhook WHERE failing_since IS NOT NULL";
    assert_eq!(Rows::of(&server).await.number(failing).await, 0, "it is no fault of the receiver");
    assert!(!server.shown(&hook).await.disabled);
    receiver.nothing().await;
    server.setup.notify.vault = right;
    let server = server.restart().await;
    server.advance(Duration::from_secs(301)).await;
    for _ in [&first, &second] {
        receiver.next().await;
    }
    server.until_deliveries(&hook, |all| all.iter().filter(|one| one.attempts == 2).count() == 2).await;
    assert!(!server.shown(&hook).await.disabled, "nothing arrived for days, and that was not the receiver's fault");
    receiver.replies(receiver::Reply::Status(200));
    server.advance(Duration::from_secs(340)).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let one = receiver.next().await;
        assert_eq!(one.signed_by(&hook.secret), 1);
        told.push(one.kind());
    }
    told.sort_unstable();
    assert_eq!(told, ["key.created", "key.created", "key.updated"]);
}
