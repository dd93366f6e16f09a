//! Every type of notice arrives, and every page of what arrived.

use std::collections::BTreeSet;

use portcullis::pb::{self, QuotaPeriod};
use tonic::Code;

use crate::harness::{
    Server,
    limits::quota,
    receiver::{Receiver, Reply},
    verify::{rate_limit, ttl},
    webhook::DELIVERIES,
};

const HOUR: u64 = 3600;

#[tokio::test]
async fn all_twelve_types_of_what_happens_to_keys_arrive() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;

    let made = server.key().await;
    let key = made.key.expect("key");
    server.update(&key, &["name"], pb::Key { name: "renamed".to_owned(), ..Default::default() }).await;
    for network in ["192.0.2.1", "198.51.100.1"] {
        server.verdict_from(&made.secret, network).await;
    }
    let limited = server.limited(&[rate_limit("second", 2, 1)], &[]).await.secret;
    let metered = server.limited(&[], &[quota(1, QuotaPeriod::Day)]).await.secret;
    for secret in [&limited, &metered] {
        for _ in 0..3 {
            server.spend(secret, 1).await;
        }
    }
    server.look().await;
    let report =
        pb::ReportLeakedKeyRequest { secret: made.secret, source: "https://example.com/log".to_owned(), wait: 0 };
    let _: pb::ReportLeakedKeyResponse =
        server.signed(&server.admin, "KeyService/ReportLeakedKey", &report).await.expect("report");
    server.rotate(&server.get_key(&key.key_id).await, 0).await;
    let renewing = server.key_with(|request| {
        request.expiration = ttl(10 * 3600);
        request.auto_renew = true;
    });
    let renewing = renewing.await.key.expect("key");
    server.key_with(|request| request.expiration = ttl(10 * 3600)).await;
    // Told ahead at half a life, renewed when a tenth of it is left, and at its end.
    for hours in [5, 4, 1] {
        server.pass(hours * HOUR).await;
    }
    server.revoke(&server.get_key(&renewing.key_id).await).await;
    server.pass(91 * 24 * HOUR).await;

    let all = "created updated revoked rotated expiring expired renewed unused leaked suspicious".split(' ');
    let mut all: BTreeSet<_> = all.map(|kind| format!("key.{kind}")).collect();
    all.extend(["limit.exceeded", "quota.exceeded"].map(str::to_owned));
    let mut heard = BTreeSet::new();
    while heard != all {
        let next = receiver.next().await;
        assert_eq!(next.signed_by(&hook.secret), 1);
        assert!(all.contains(&next.kind()), "{}", next.kind());
        heard.insert(next.kind());
    }
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page_each_once_and_oldest_first() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(500));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let first = server.key().await.key.expect("key");
    receiver.next().await;
    for name in ["a", "b"] {
        server.update(&first, &["name"], pb::Key { name: name.to_owned(), ..Default::default() }).await;
    }
    server.key().await;
    server.revoke(&first).await;
    let whole = server.until_deliveries(&hook, |all| all.iter().filter(|one| one.attempts == 1).count() == 2).await;
    assert_eq!(whole.len(), 5);

    let request = pb::ListWebhookDeliveriesRequest {
        application_id: server.app.clone(),
        webhook_id: hook.webhook.webhook_id.clone(),
        page_size: 2,
        ..Default::default()
    };
    let of_first = pb::ListWebhookDeliveriesRequest { key_id: first.key_id.clone(), ..request.clone() };
    let pending = pb::ListWebhookDeliveriesRequest { state: pb::DeliveryState::Pending.into(), ..request.clone() };
    let failed = pb::ListWebhookDeliveriesRequest { state: pb::DeliveryState::Failed.into(), ..request.clone() };
    for (mut request, wanted) in [
        (request.clone(), whole.clone()),
        (pending, whole.clone()),
        (of_first, whole.iter().filter(|one| one.key_id == first.key_id).cloned().collect()),
        (failed, Vec::new()),
    ] {
        let mut listed = Vec::new();
        loop {
            let page: pb::ListWebhookDeliveriesResponse =
                server.by_token(&server.admin, DELIVERIES, &request).await.expect("page");
            let is_last = page.next_page_token.is_empty();
            assert!(page.deliveries.len() <= 2 && (is_last || page.deliveries.len() == 2));
            listed.extend(page.deliveries);
            if is_last {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(listed, wanted);
    }
    let bad = pb::ListWebhookDeliveriesRequest { page_token: "x".to_owned(), ..request };
    let refused: Result<pb::ListWebhookDeliveriesResponse, _> = server.by_token(&server.admin, DELIVERIES, &bad).await;
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument);
}
