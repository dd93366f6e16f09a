//! The database: Verify leaves it alone, a restart changes no answer, every mutation is
//! one revision.

use std::time::Duration;

use portcullis::{pb, replica::Pace};
use tonic::Code;

use crate::harness::{Rows, Server, Setup, WriteLock, refusal, verify::about};

/// The loop turns when a mutation rings and at no other time, so that statements can be
/// counted.
fn quiet() -> Setup {
    Setup { pace: Pace { every: Duration::from_hours(1), ..Pace::default() }, ..Setup::default() }
}

/// How many statements were sent, once the last mutation's echo is over.
async fn settled(server: &Server) -> u64 {
    for _ in 0..200 {
        let before = server.store().statements();
        tokio::time::sleep(Duration::from_millis(30)).await;
        if server.store().statements() == before {
            return before;
        }
    }
    panic!("the database never comes to rest");
}

#[tokio::test]
async fn verify_sends_no_statement_to_the_database_whatever_it_is_asked() {
    let server = Server::start_with(quiet()).await;
    let good = server.key().await.secret;
    let revoked = server.key().await;
    server.revoke(&revoked.key.expect("key")).await;
    let foreign = Server::start().await.key().await.secret;
    let malformed = format!("{}0", &good[..good.len() - 1]);
    let restricted = server.key_with(|request| {
        request.ip_allowlist = vec!["192.0.2.0/24".to_owned()];
        request.referrer_allowlist = vec!["*.example.com".to_owned()];
        request.resource_allowlist = vec!["files/*".to_owned()];
    });
    let restricted = pb::VerifyKeyRequest {
        client_ip: "192.0.2.1".to_owned(),
        referrer: "https://a.example.com/path".to_owned(),
        resource: "files/a".to_owned(),
        ..about(&restricted.await.secret)
    };
    let elsewhere = pb::VerifyKeyRequest { client_ip: "198.51.100.1".to_owned(), ..restricted.clone() };
    let dry = pb::VerifyKeyRequest { dry_run: true, ..elsewhere.clone() };
    let before = settled(&server).await;
    for _ in 0..250 {
        assert_eq!(server.verdict(&good).await, pb::Verdict::Valid);
        assert_eq!(server.verdict_on(&restricted).await, pb::Verdict::Valid);
        assert_eq!(server.verdict_on(&elsewhere).await, pb::Verdict::IpNotAllowed);
        assert_eq!(server.verdict_on(&dry).await, pb::Verdict::IpNotAllowed);
        assert_eq!(server.verdict(&revoked.secret).await, pb::Verdict::Revoked);
        assert_eq!(server.verdict(&foreign).await, pb::Verdict::NotFound);
        let verdict = server.verdict(&malformed).await;
        assert!(verdict == pb::Verdict::Malformed || malformed == good, "{verdict:?}");
    }
    assert_eq!(server.store().statements(), before, "1,750 verifies, no statement");
    server.key().await;
    assert!(settled(&server).await > before, "and the counter counts");
}

#[tokio::test]
async fn a_restart_changes_no_verdict() {
    let server = Server::start().await;
    let valid = server.key().await.secret;
    let revoked = server.key().await;
    server.revoke(&revoked.key.expect("key")).await;
    let expired = server
        .key_with(|request| {
            let ttl = prost_types::Duration { seconds: 5, nanos: 0 };
            request.expiration = Some(pb::create_key_request::Expiration::Ttl(ttl));
        })
        .await
        .secret;
    let disabled = server.key().await;
    let wish = pb::Key { disabled: true, revision: 0, ..disabled.key.expect("key") };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["disabled".to_owned()] });
    let request = pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: 0 };
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &request).await.expect("update");
    server.pass(6).await;
    let expected = [
        (&valid, pb::Verdict::Valid),
        (&revoked.secret, pb::Verdict::Revoked),
        (&expired, pb::Verdict::Expired),
        (&disabled.secret, pb::Verdict::Disabled),
    ];
    for (secret, verdict) in expected {
        assert_eq!(server.verdict(secret).await, verdict);
    }
    let head = Rows::of(&server).await.number("SELECT seq FROM log_head").await;
    let server = server.restart().await;
    for (secret, verdict) in expected {
        assert_eq!(server.verdict(secret).await, verdict, "after the restart");
    }
    assert_eq!(server.try_verify(&valid).await.expect("verify").revision, head, "and no revision is lost");
}

#[tokio::test]
async fn every_mutation_is_one_revision_with_its_event_and_its_audit_row_and_a_refused_one_is_none() {
    let server = Server::start().await;
    let rows = Rows::of(&server).await;
    let mut last = rows.number("SELECT seq FROM log_head").await;
    let mut keys = Vec::new();
    for _ in 0..4 {
        let made = server.key().await;
        assert_eq!(made.revision, last + 1, "dense");
        last = made.revision;
        keys.push(made.key.expect("key"));
    }
    assert_eq!(server.revoke(&keys[0]).await.revision, last + 1);
    last += 1;
    rows.are_whole().await;

    let events = rows.number("SELECT count(*) FROM event_log").await;
    let keys_before = rows.number("SELECT count(*) FROM api_key").await;
    let stale = pb::RevokeKeyRequest {
        application_id: server.app.clone(),
        key_id: keys[1].key_id.clone(),
        etag: "r0".to_owned(),
        ..Default::default()
    };
    let answer = server.signed::<_, pb::RevokeKeyResponse>(&server.admin, "KeyService/RevokeKey", &stale).await;
    assert_eq!(refusal(answer), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let past = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "past".to_owned(),
        expiration: Some(pb::create_key_request::Expiration::ExpireTime(prost_types::Timestamp {
            seconds: server.now().seconds() - 1,
            nanos: 0,
        })),
        ..Default::default()
    };
    let answer = server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &past).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    assert_eq!(rows.number("SELECT count(*) FROM event_log").await, events, "no event of what was refused");
    assert_eq!(rows.number("SELECT count(*) FROM api_key").await, keys_before, "and no row");
    assert_eq!(
        rows.texts("SELECT outcome FROM audit_event WHERE outcome <> 'OK' ORDER BY outcome").await,
        ["ETAG_MISMATCH", "FIELD_INVALID"],
        "but the audit knows"
    );
    assert_eq!(server.key().await.revision, last + 1, "and no number is skipped");
    rows.are_whole().await;
}

#[tokio::test]
async fn a_repeated_revoke_makes_no_event_and_still_waits_and_is_audited() {
    let server = Server::start().await;
    let rows = Rows::of(&server).await;
    let key = server.key().await.key.expect("key");
    let first = server.revoke(&key).await;
    let again = server.revoke(&key).await;
    assert_eq!((again.revision, &again.key), (first.revision, &first.key), "as it was");
    assert_eq!(rows.number("SELECT max(seq) FROM event_log").await, first.revision);
    let audited = "SELECT count(*) FROM audit_event WHERE method LIKE '%/RevokeKey' AND outcome = 'OK'";
    assert_eq!(rows.number(audited).await, 2);
}

#[tokio::test]
async fn a_step_of_the_wall_clock_wakes_no_expired_key() {
    let server = Server::start().await;
    let ttl = prost_types::Duration { seconds: 60, nanos: 0 };
    let secret = server.key_with(|r| r.expiration = Some(pb::create_key_request::Expiration::Ttl(ttl))).await.secret;
    server.advance(Duration::from_secs(59)).await;
    assert_eq!(server.verdict(&secret).await, pb::Verdict::Valid);
    server.advance(Duration::from_secs(2)).await;
    assert_eq!(server.verdict(&secret).await, pb::Verdict::Expired);
    // Tokens are checked by the same time, so the caller's must be of before the step.
    let token = server.admin.token(&server);
    let request =
        pb::VerifyKeyRequest { subject: Some(pb::verify_key_request::Subject::Secret(secret)), ..Default::default() };
    server.setup.clock.step(-3_600_000_000);
    for _ in 0..3 {
        server.advance(Duration::from_secs(2)).await;
        let headers = crate::harness::Headers::bearer(&token);
        let message = crate::harness::message_bytes(&request);
        let answer: pb::VerifyKeyResponse =
            server.with_headers("KeyService/VerifyKey", message, &headers).await.expect("verify");
        assert_eq!(answer.verdict(), pb::Verdict::Expired);
    }
}

#[tokio::test]
async fn a_machine_that_sleeps_while_it_asks_for_the_time_does_not_run_ahead_of_it() {
    let server = Server::start().await;
    let lock = WriteLock::take(&server).await;
    // The question is under way once a turn has been rung for, and waits for the lock.
    let _ = tokio::time::timeout(Duration::from_millis(300), server.running().replica().sync_pass()).await;
    server.setup.clock.advance(Duration::from_hours(1));
    lock.release().await;
    server.running().replica().sync_pass().await;
    let ahead = server.running().replica().now().since(server.now());
    assert!(ahead <= Duration::from_secs(10), "{ahead:?} ahead of the database");
    assert_eq!(server.key().await.key.expect("key").state(), pb::KeyState::Active);
}
