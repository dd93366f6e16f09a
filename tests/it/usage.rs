//! What is counted: every decided call once, by its verdict, for its key and its application.

use std::{sync::Arc, time::Duration};

use portcullis::pb::{self, Verdict};
use tonic::Code;

use crate::harness::{Rows, Server, WriteLock, refusal};

fn ask(secret: &str) -> pb::VerifyKeyRequest {
    let subject = Some(pb::verify_key_request::Subject::Secret(secret.to_owned()));
    pb::VerifyKeyRequest { subject, required_permissions: vec!["tasks:read".to_owned()], ..Default::default() }
}

async fn verify(server: &Server, request: &pb::VerifyKeyRequest, times: usize) -> Verdict {
    let mut verdict = Verdict::Unspecified;
    for _ in 0..times {
        let answer: pb::VerifyKeyResponse =
            server.by_token(&server.admin, "KeyService/VerifyKey", request).await.expect("verify");
        verdict = answer.verdict();
    }
    verdict
}

fn denied(usage: &pb::GetKeyUsageResponse) -> Vec<(Verdict, i64)> {
    usage.denied_by.iter().map(|denied| (denied.verdict(), denied.requests)).collect()
}

#[tokio::test]
async fn every_decided_call_counts_once_by_its_verdict_for_its_key_and_its_application() {
    let server = Server::start().await;
    let made = server.key().await;
    let (good, key) = (ask(&made.secret), made.key.expect("key").key_id);
    let mut more = good.clone();
    more.required_permissions.push("users:read".to_owned());
    let test = pb::VerifyKeyRequest { environment: pb::KeyEnvironment::Test.into(), ..good.clone() };
    assert_eq!(verify(&server, &good, 6).await, Verdict::Valid);
    assert_eq!(verify(&server, &more, 3).await, Verdict::PermissionMissing);
    assert_eq!(verify(&server, &test, 1).await, Verdict::EnvironmentNotAllowed);
    let usage = server.usage(&key).await;
    assert_eq!((usage.requests, usage.denied, usage.error_rate), (10, 4, 0.4));
    assert_eq!(denied(&usage), [(Verdict::EnvironmentNotAllowed, 1), (Verdict::PermissionMissing, 3)]);
    assert_eq!(usage.points.len(), 1);
    assert_eq!(usage.points[0].denied_by, usage.denied_by);
    assert_eq!(usage.last_used_time.expect("used").seconds, server.now().seconds());

    let second = server.key().await;
    assert_eq!(verify(&server, &ask(&second.secret), 2).await, Verdict::Valid);
    server.revoke(&second.key.expect("key")).await;
    assert_eq!(verify(&server, &ask(&second.secret), 2).await, Verdict::Revoked);
    let usage = server.usage("").await;
    assert_eq!((usage.requests, usage.denied), (14, 6));
    assert_eq!(server.usage(&key).await.requests, 10, "each key by itself");
}

#[tokio::test]
async fn texts_that_are_no_key_count_for_the_application_that_was_named_and_for_nobody_else() {
    let server = Server::start().await;
    let foreign = Server::start().await.key().await.secret;
    let named = |secret: &str| pb::VerifyKeyRequest { application_id: server.app.clone(), ..ask(secret) };
    assert_eq!(verify(&server, &named("nonsense"), 3).await, Verdict::Malformed);
    assert_eq!(verify(&server, &named(&foreign), 2).await, Verdict::NotFound);
    assert_eq!(verify(&server, &ask("nonsense"), 4).await, Verdict::Malformed);
    let made_up = pb::VerifyKeyRequest { application_id: "app_0000000000000000000001".to_owned(), ..ask("nonsense") };
    assert_eq!(verify(&server, &made_up, 1).await, Verdict::Malformed);
    let usage = server.usage("").await;
    assert_eq!(denied(&usage), [(Verdict::Malformed, 3), (Verdict::NotFound, 2)]);
    assert_eq!((usage.requests, usage.error_rate, usage.last_used_time), (5, 1.0, None));
    let rows = Rows::of(&server).await;
    let applications = rows.texts("SELECT DISTINCT application_id FROM usage_count").await;
    assert_eq!(applications, std::slice::from_ref(&server.app), "nobody makes rows for what is no application");
}

#[tokio::test]
async fn a_dry_run_and_a_call_that_ends_in_an_error_count_nothing() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key").key_id;
    let dry = pb::VerifyKeyRequest { dry_run: true, ..ask(&made.secret) };
    let named = pb::VerifyKeyRequest { dry_run: true, application_id: server.app.clone(), ..ask("nonsense") };
    assert_eq!(verify(&server, &dry, 3).await, Verdict::Valid);
    assert_eq!(verify(&server, &named, 3).await, Verdict::Malformed);
    let bad = pb::VerifyKeyRequest { cost: -1, ..ask(&made.secret) };
    let answer = server.by_token::<_, pb::VerifyKeyResponse>(&server.admin, "KeyService/VerifyKey", &bad).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(60));
    assert_eq!(refusal(server.try_verify(&made.secret).await).0, Code::Unavailable, "outside the lease");
    lock.release().await;
    assert_eq!(server.usage(&key).await.requests, 0);
    assert_eq!(server.usage("").await.requests, 0);
}

#[tokio::test]
async fn a_hundred_callers_at_once_are_counted_exactly_while_flushes_run() {
    const EACH: usize = 15;
    let server = Arc::new(Server::start().await);
    let made = [server.key().await, server.key().await];
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..100 {
        let (server, secret) = (Arc::clone(&server), made[caller % 2].secret.clone());
        callers.spawn(async move { verify(&server, &ask(&secret), EACH).await });
    }
    let flushes = async {
        loop {
            server.flush().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        verdicts = callers.join_all() => assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Valid)),
        () = flushes => unreachable!("it has no end"),
    }
    let requests = i64::try_from(50 * EACH).expect("few");
    for made in made {
        assert_eq!(server.usage(&made.key.expect("key").key_id).await.requests, requests);
    }
    assert_eq!(server.usage("").await.requests, 2 * requests);
}

#[tokio::test]
async fn counts_at_the_end_of_their_type_stay_there() {
    let server = Server::start().await;
    let made = server.key().await;
    let (request, key) = (ask(&made.secret), made.key.expect("key").key_id);
    verify(&server, &request, 1).await;
    server.flush().await;
    let rows = Rows::of(&server).await;
    rows.change(&format!("UPDATE usage_count SET requests = {}", i64::MAX - 1)).await;
    verify(&server, &request, 3).await;
    let test = pb::VerifyKeyRequest { environment: pb::KeyEnvironment::Test.into(), ..request };
    verify(&server, &test, 1).await;
    let usage = server.usage(&key).await;
    assert_eq!((usage.requests, usage.denied), (i64::MAX, 1));
    assert_eq!(rows.number("SELECT max(requests) FROM usage_count").await, i64::MAX, "no number of another type");
    let usage = server.used_key(&key).await.usage.expect("usage");
    assert_eq!((usage.requests_today, usage.requests_this_month, usage.denied_today), (i64::MAX, i64::MAX, 1));
}
