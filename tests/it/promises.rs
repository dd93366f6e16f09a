//! One test a promise, named after it. Each of these has a guard in `src/guard.rs` and goes
//! red when it is switched off: `tests/guards` sees to that.

use std::{sync::Arc, time::Duration};

use portcullis::{
    domain::usage::{Counted, Counts, Tallied, Whose},
    pb::{self, watch_revocations_response::Item},
};
use tonic::Code;

use crate::harness::{Headers, Persona, Rows, Server, Setup, WriteLock, message_bytes, refusal, verify::ttl};

fn slow_loop() -> Setup {
    Setup::deaf(Duration::from_secs(1))
}

fn list(server: &Server) -> pb::ListKeysRequest {
    pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }
}

async fn list_keys(server: &Server, persona: &Persona) -> Result<pb::ListKeysResponse, tonic::Status> {
    server.signed(persona, "KeyService/ListKeys", &list(server)).await
}

#[tokio::test]
async fn revoked_is_refused_by_every_call_that_is_sent_after_the_answer() {
    let server = Server::start_with(slow_loop()).await;
    let made = server.key().await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    server.revoke(&made.key.expect("key")).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
}

#[tokio::test]
async fn a_repeated_revoke_waits_again() {
    let server = Server::start_with(slow_loop()).await;
    let made = server.key().await;
    let key = made.key.expect("key");
    let request = pb::RevokeKeyRequest {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        wait: pb::RevokeWait::None.into(),
        ..Default::default()
    };
    let first: pb::RevokeKeyResponse =
        server.signed(&server.admin, "KeyService/RevokeKey", &request).await.expect("revoke");
    // The first did not wait; the second is told "it is so already" only once it is so everywhere.
    let second = server.revoke(&key).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    assert_eq!(second.key.expect("key"), first.key.expect("key"));
}

#[tokio::test]
async fn a_removed_service_account_key_is_refused_after_the_answer() {
    let server = Server::start_with(slow_loop()).await;
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
    list_keys(&server, &viewer).await.expect("it may list");
    let request = pb::RemoveServiceAccountKeyRequest {
        service_account_id: viewer.account_id.clone(),
        kid: viewer.kid(),
        ..Default::default()
    };
    let method = "ServiceAccountService/RemoveServiceAccountKey";
    let _: pb::RemoveServiceAccountKeyResponse = server.signed(&server.admin, method, &request).await.expect("remove");
    let answer = list_keys(&server, &viewer).await;
    assert_eq!(refusal(answer), (Code::Unauthenticated, "SIGNATURE_INVALID".to_owned()));
}

#[tokio::test]
async fn a_replica_that_cannot_prove_it_is_fresh_answers_unavailable() {
    let server = Server::start().await;
    let made = server.key().await;
    // Somebody else has the database: no sync gets through.
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(11));
    let answer = server.try_verify(&made.secret).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "FRESHNESS_UNPROVEN".to_owned()));
    lock.release().await;
    server.running().replica().sync_pass().await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
}

#[tokio::test]
async fn a_signed_call_is_good_once() {
    let server = Server::start().await;
    let request =
        pb::CreateKeyRequest { application_id: server.app.clone(), name: "k".to_owned(), ..Default::default() };
    let message = message_bytes(&request);
    let path = "/portcullis.v1.KeyService/CreateKey";
    let headers = Headers::sign(&server.admin, path, &message, server.now().seconds(), "0123456789012345678901");
    let first: Result<pb::CreateKeyResponse, _> =
        server.with_headers("KeyService/CreateKey", message.clone(), &headers).await;
    first.expect("the first");
    let second = server.with_headers::<pb::CreateKeyResponse>("KeyService/CreateKey", message, &headers).await;
    assert_eq!(refusal(second), (Code::Unauthenticated, "NONCE_REUSED".to_owned()));
    assert_eq!(list_keys(&server, &server.admin).await.expect("list").keys.len(), 1);
}

#[tokio::test]
async fn a_signature_over_other_bytes_is_refused() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let revoke = |comment: &str| pb::RevokeKeyRequest {
        application_id: server.app.clone(),
        key_id: key.key_id.clone(),
        comment: comment.to_owned(),
        ..Default::default()
    };
    let (honest, revoke) = (revoke("a comment"), revoke("another"));
    let path = "/portcullis.v1.KeyService/RevokeKey";
    let seconds = server.now().seconds();
    let headers = Headers::sign(&server.admin, path, &message_bytes(&honest), seconds, "0123456789012345678901");
    let answer =
        server.with_headers::<pb::RevokeKeyResponse>("KeyService/RevokeKey", message_bytes(&revoke), &headers).await;
    assert_eq!(refusal(answer), (Code::Unauthenticated, "SIGNATURE_INVALID".to_owned()));
    assert_eq!(list_keys(&server, &server.admin).await.expect("list").keys.len(), 1, "and it is not revoked");
}

#[tokio::test]
async fn a_call_dated_outside_the_window_is_refused() {
    let server = Server::start().await;
    let message = message_bytes(&list(&server));
    for (offset, good) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let seconds = server.now().seconds() + offset;
        let nonce = format!("{seconds:022}");
        let headers = Headers::sign(&server.admin, "/portcullis.v1.KeyService/ListKeys", &message, seconds, &nonce);
        let answer =
            server.with_headers::<pb::ListKeysResponse>("KeyService/ListKeys", message.clone(), &headers).await;
        match good {
            true => drop(answer.expect("inside the window")),
            false => assert_eq!(refusal(answer).1, "TIMESTAMP_OUT_OF_WINDOW", "{offset}"),
        }
    }
}

#[tokio::test]
async fn a_caller_stays_in_its_applications() {
    let server = Server::start().await;
    let made = server.key().await;
    let outsider = pb::ServiceAccount {
        name: "outsider".to_owned(),
        roles: vec![pb::Role::Viewer.into(), pb::Role::Verifier.into()],
        ..Default::default()
    };
    let outsider = server.admin.hire(&server, 1, outsider).await;
    assert_eq!(
        refusal(list_keys(&server, &outsider).await),
        (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned())
    );
    let ask = pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret(made.secret)),
        ..Default::default()
    };
    let answer: pb::VerifyKeyResponse = server.by_token(&outsider, "KeyService/VerifyKey", &ask).await.expect("verify");
    assert_eq!(answer.verdict(), pb::Verdict::NotFound, "that the key exists is not told");
    assert!(answer.key_id.is_empty());
}

#[tokio::test]
async fn a_caller_needs_the_role_of_the_method() {
    let server = Server::start().await;
    let verifier = server.admin.hire_role(&server, 1, pb::Role::Verifier, &[]).await;
    assert_eq!(refusal(list_keys(&server, &verifier).await), (Code::PermissionDenied, "ROLE_MISSING".to_owned()));
}

#[tokio::test]
async fn nobody_grants_what_they_lack() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let mut wish = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".to_owned(),
        permissions: vec!["tasks:read".to_owned(), "users:read".to_owned()],
        ..Default::default()
    };
    let answer = server.signed::<_, pb::CreateKeyResponse>(&editor, "KeyService/CreateKey", &wish).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "GRANT_EXCEEDED".to_owned()));
    wish.permissions.pop();
    server.signed::<_, pb::CreateKeyResponse>(&editor, "KeyService/CreateKey", &wish).await.expect("what it may grant");
}

#[tokio::test]
async fn a_stream_ends_with_its_account() {
    let server = Server::start().await;
    let watcher = server.admin.hire_role(&server, 1, pb::Role::Watcher, &[]).await;
    let mut watch = server.watch(&watcher, &pb::WatchRevocationsRequest::default()).await.expect("watch");
    watch.bookmark().await;
    let request =
        pb::DisableServiceAccountRequest { service_account_id: watcher.account_id.clone(), ..Default::default() };
    let method = "ServiceAccountService/DisableServiceAccount";
    let _: pb::DisableServiceAccountResponse = server.signed(&server.admin, method, &request).await.expect("disable");
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    let (told, end) = watch.rest().await;
    let is_told = told.iter().any(|item| matches!(item, Item::Revocation(_)));
    assert!(!is_told, "nothing is told after the account is gone");
    assert_eq!(refusal(end), (Code::Unauthenticated, "SIGNATURE_INVALID".to_owned()));
}

#[tokio::test]
async fn a_watcher_of_another_history_is_told() {
    let (server, other) = (Server::start().await, Server::start().await);
    let all = pb::WatchRevocationsRequest::default();
    let token = other.watch(&other.admin, &all).await.expect("watch").bookmark().await.1;
    let request = pb::WatchRevocationsRequest { resume_token: token, ..all };
    let end = server.watch(&server.admin, &request).await;
    assert_eq!(refusal(end), (Code::OutOfRange, "HISTORY_FORKED".to_owned()));
}

#[tokio::test]
async fn a_batch_of_usage_that_is_sent_twice_counts_once() {
    let server = Server::start().await;
    let (key, store) = (server.key().await.key.expect("key"), server.store());
    let key_id = Some(key.key_id.parse().expect("id"));
    let whose = Whose { application_id: server.app.parse().expect("id"), key_id };
    let mut counts = Counts::default();
    counts[0] = 5;
    let of = Counted::at(whose, server.now());
    let batch: Arc<[Tallied]> = [Tallied { of, counts, last_valid: Some(server.now()) }].into();
    let source = store.begin_usage_source().await.expect("a source");
    for number in [1, 1, 2, 2, 1, 2] {
        store.add_usage(source, number, Arc::clone(&batch)).await.expect("added, now or before");
    }
    assert_eq!(server.usage(&key.key_id).await.requests, 2 * 5);
    assert!(store.add_usage(source, 4, Arc::clone(&batch)).await.is_err(), "never past a gap");
    assert_eq!(server.usage(&key.key_id).await.requests, 2 * 5);
}

#[tokio::test]
async fn signed_calls_of_an_account_are_limited() {
    let server = Server::start_with(Setup { signed_calls_per_second: 5, ..Setup::default() }).await;
    for _ in 0..5 {
        list_keys(&server, &server.admin).await.expect("within the limit");
    }
    let answer = list_keys(&server, &server.admin).await;
    assert_eq!(refusal(answer), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
    server.advance(Duration::from_secs(1)).await;
    list_keys(&server, &server.admin).await.expect("a second later");
}

#[tokio::test]
async fn nothing_takes_a_revocation_back() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key");
    server.revoke(&key).await;
    let update = pb::UpdateKeyRequest {
        key: Some(pb::Key { disabled: false, ..key.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["disabled".to_owned()] }),
        wait: 0,
    };
    let answer = server.signed::<_, pb::UpdateKeyResponse>(&server.admin, "KeyService/UpdateKey", &update).await;
    assert_eq!(refusal(answer), (Code::FailedPrecondition, "KEY_REVOKED".to_owned()));

    // Not even a late write to the log: the replica stops rather than answer VALID.
    let log = Rows::of(&server).await;
    let late = format!(
        "INSERT INTO event_log (seq, event_id, time, changes) \
         SELECT h.seq + 1, {}, e.time, e.changes FROM log_head h, event_log e WHERE e.seq = {}",
        log.uuid(uuid::Uuid::from_u128(rand::random())),
        made.revision
    );
    log.change(&late).await;
    server.running().replica().sync_pass().await;
    let answer = server.try_verify(&made.secret).await;
    assert_eq!(answer.expect_err("it serves no more").code(), Code::Unavailable);
}

#[tokio::test]
async fn verify_answers_from_memory() {
    let server = Server::start().await;
    let made = server.key().await;
    let _ = server.verdict(&made.secret).await;
    let before = server.store().statements();
    for _ in 0..100 {
        assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
        assert_eq!(server.verdict("sk_live_nonsense").await, pb::Verdict::Malformed);
    }
    assert_eq!(server.store().statements() - before, 0);
}

#[tokio::test]
async fn every_administrative_act_is_in_the_audit_log() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    let wrong =
        pb::RevokeKeyRequest { application_id: server.app.clone(), key_id: "key_?".to_owned(), ..Default::default() };
    let answer = server.signed::<_, pb::RevokeKeyResponse>(&server.admin, "KeyService/RevokeKey", &wrong).await;
    assert_eq!(refusal(answer).1, "FIELD_INVALID");
    let sql = "SELECT method || ' ' || outcome FROM audit_event ORDER BY seq";
    let rows = Rows::of(&server).await;
    assert_eq!(
        rows.texts(sql).await,
        [
            "test OK",
            "test OK",
            "portcullis.v1.KeyService/CreateKey OK",
            "portcullis.v1.KeyService/RevokeKey OK",
            "portcullis.v1.KeyService/RevokeKey FIELD_INVALID",
        ]
    );
    let by_admin = format!("SELECT count(*) FROM audit_event WHERE service_account_id = '{}'", server.admin.account_id);
    assert_eq!(rows.number(&by_admin).await, 3);
}

#[tokio::test]
async fn what_has_expired_stays_so_whatever_a_clock_says() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(60)).await;
    server.pass(60).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Expired);
    let server = server.restart_after(async |clock, _| clock.step(-3600 * 1_000_000)).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Expired, "an hour before it expired");
}
