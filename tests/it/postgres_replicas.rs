//! Several replicas on one PostgreSQL: what one has answered OK to, all others answer by.

use std::time::Duration;

use portcullis::{pb, replica::Pace};
use tonic::Code;

use crate::harness::{
    Headers, Rows, Server, Setup, mask, message_bytes, nonce, path, refusal,
    verify::{about, rate_limit},
    watch::from,
};

fn deaf() -> Setup {
    Setup::deaf(Duration::from_millis(300))
}

async fn three(setup: Setup) -> Option<[Server; 3]> {
    let first = Server::start_at_server(setup).await?;
    let (second, third) = (first.beside().await, first.beside().await);
    Some([first, second, third])
}

async fn verdicts(replicas: &[Server], secret: &str) -> Vec<pb::Verdict> {
    let mut verdicts = Vec::new();
    for replica in replicas {
        verdicts.push(replica.verdict(secret).await);
    }
    verdicts
}

/// Answers its revision.
async fn revoke_unconfirmed(at: &Server, key: pb::Key) -> i64 {
    let request = pb::RevokeKeyRequest {
        application_id: key.application_id,
        key_id: key.key_id,
        wait: pb::RevokeWait::None.into(),
        ..Default::default()
    };
    let revoked: pb::RevokeKeyResponse = at.signed(&at.admin, "KeyService/RevokeKey", &request).await.expect("revoke");
    revoked.revision
}

#[tokio::test]
async fn every_mutation_holds_at_every_replica_when_it_returns() {
    let Some(replicas) = three(deaf()).await else { return };
    let [one, two, three] = &replicas;
    let made = one.key().await;
    let key = made.key.clone().expect("key");
    assert_eq!(verdicts(&replicas, &made.secret).await, [pb::Verdict::Valid; 3], "created");

    let narrowed = two.update(&key, &["permissions"], pb::Key::default()).await.key.expect("key");
    assert_eq!(verdicts(&replicas, &made.secret).await, [pb::Verdict::PermissionMissing; 3], "narrowed");
    let permissions = vec!["tasks:read".to_owned()];
    three.update(&narrowed, &["permissions"], pb::Key { permissions, ..Default::default() }).await;
    assert_eq!(verdicts(&replicas, &made.secret).await, [pb::Verdict::Valid; 3], "widened");
    one.update(&key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
    assert_eq!(verdicts(&replicas, &made.secret).await, [pb::Verdict::Disabled; 3], "disabled");
    two.update(&key, &["disabled"], pb::Key::default()).await;
    assert_eq!(verdicts(&replicas, &made.secret).await, [pb::Verdict::Valid; 3], "enabled");
    three.revoke(&key).await;
    assert_eq!(verdicts(&replicas, &made.secret).await, [pb::Verdict::Revoked; 3], "revoked");
}

#[tokio::test]
async fn a_service_account_key_that_one_replica_removed_opens_no_other() {
    let Some([one, two, _three]) = three(deaf()).await else { return };
    let verifier = one.admin.hire_role(&one, 1, pb::Role::Verifier, &[]).await;
    let made = one.key().await;
    let question = about(&made.secret);
    two.ask(&verifier, &question).await.expect("known at once");
    let request = pb::RemoveServiceAccountKeyRequest {
        service_account_id: verifier.account_id.clone(),
        kid: verifier.kid(),
        ..Default::default()
    };
    let method = "ServiceAccountService/RemoveServiceAccountKey";
    let _: pb::RemoveServiceAccountKeyResponse = one.signed(&one.admin, method, &request).await.expect("remove");
    let answer = two.ask(&verifier, &question).await;
    assert_eq!(refusal(answer), (Code::Unauthenticated, "TOKEN_INVALID".to_owned()));
}

#[tokio::test]
async fn who_waits_for_nobody_is_followed_a_moment_later() {
    let Some([one, two, _three]) = three(deaf()).await else { return };
    let made = one.key().await;
    revoke_unconfirmed(&one, made.key.expect("key")).await;
    for _ in 0..200 {
        if two.verdict(&made.secret).await == pb::Verdict::Revoked {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the other replica never heard of it");
}

#[tokio::test]
async fn the_doorbell_is_heard_by_the_others() {
    // Nobody asks by itself within this test.
    let pace = Pace { every: Duration::from_secs(600), ..Pace::default() };
    let Some([one, two, _three]) = three(Setup { pace, ..Setup::default() }).await else { return };
    let made = one.key().await;
    assert_eq!(two.verdict(&made.secret).await, pb::Verdict::Valid);
    one.revoke(&made.key.expect("key")).await;
    assert_eq!(two.verdict(&made.secret).await, pb::Verdict::Revoked);
}

#[tokio::test]
async fn a_member_that_says_nothing_is_waited_for_as_long_as_it_may_answer_and_then_taken_out() {
    let Some(server) = Server::start_at_server(Setup::deaf(Duration::from_millis(50))).await else { return };
    let made = server.key().await;
    let rows = Rows::of(&server).await;
    // Somebody with a longer lease than this replica's, who died.
    rows.change(
        "INSERT INTO replica (id, beat, acked_seq, edge_seq, lease, reads) \
         VALUES ('00000000-0000-0000-0000-000000000001', 7, 0, 0, 20000000, 2)",
    )
    .await;
    let key = made.key.expect("key");
    let (_, passed) = server.outlasted(server.revoke(&key)).await;
    // 5 % for clocks of other speeds: 21 seconds.
    assert!((Duration::from_secs(21)..=Duration::from_secs(25)).contains(&passed), "{passed:?}");
    for _ in 0..50 {
        if rows.number("SELECT count(*) FROM replica").await == 1 {
            let quick = server.key().await;
            server.revoke(&quick.key.expect("key")).await;
            return;
        }
        server.advance(Duration::from_millis(500)).await;
    }
    panic!("nobody took it out");
}

#[tokio::test]
async fn a_replica_that_was_taken_out_joins_anew_under_another_name() {
    let Some(server) = Server::start_at_server(Setup::default()).await else { return };
    let made = server.key().await;
    let rows = Rows::of(&server).await;
    let before = rows.texts("SELECT id FROM replica").await;
    rows.change("DELETE FROM replica").await;
    for _ in 0..100 {
        server.running().replica().sync_pass().await;
        if rows.number("SELECT count(*) FROM replica").await == 1 {
            break;
        }
    }
    assert_ne!(rows.texts("SELECT id FROM replica").await, before);
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    server.revoke(&made.key.expect("key")).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
}

#[tokio::test]
async fn a_replica_that_ends_is_in_nobodys_way() {
    let Some([one, two, three]) = three(deaf()).await else { return };
    two.ended().await;
    three.ended().await;
    assert_eq!(Rows::of(&one).await.number("SELECT count(*) FROM replica").await, 1);
    let made = one.key().await;
    one.revoke(&made.key.expect("key")).await;
    assert_eq!(one.verdict(&made.secret).await, pb::Verdict::Revoked);
}

#[tokio::test]
async fn a_signed_mutation_is_good_once_over_all_replicas() {
    let Some(replicas) = three(Setup::default()).await else { return };
    let request =
        pb::CreateKeyRequest { application_id: replicas[0].app.clone(), name: "k".to_owned(), ..Default::default() };
    let (method, message) = ("KeyService/CreateKey", message_bytes(&request));
    for _ in 0..10 {
        let seconds = replicas[0].now().seconds();
        let headers = Headers::sign(&replicas[0].admin, &path(method), &message, seconds, &nonce());
        let call = async |replica: &Server| {
            replica.with_headers::<pb::CreateKeyResponse>(method, message.clone(), &headers).await
        };
        let answers = tokio::join!(call(&replicas[0]), call(&replicas[1]), call(&replicas[2]));
        let answers = [answers.0, answers.1, answers.2];
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "at once: {answers:?}");
        for replica in &replicas {
            assert_eq!(refusal(call(replica).await), (Code::Unauthenticated, "NONCE_REUSED".to_owned()));
        }
    }
}

#[tokio::test]
async fn the_same_request_at_two_replicas_at_once_makes_one_key() {
    let Some([one, two, _three]) = three(Setup::default()).await else { return };
    for _ in 0..10 {
        let request = pb::CreateKeyRequest {
            application_id: one.app.clone(),
            name: "once".to_owned(),
            request_id: crate::harness::uuid(),
            ..Default::default()
        };
        let create = async |replica: &Server| {
            replica.signed::<_, pb::CreateKeyResponse>(&replica.admin, "KeyService/CreateKey", &request).await
        };
        let (first, second) = tokio::join!(create(&one), create(&two));
        let refused = if first.is_ok() { second } else { first };
        assert_eq!(refusal(refused), (Code::AlreadyExists, "SECRET_ALREADY_RETURNED".to_owned()));
    }
}

#[tokio::test]
async fn two_replicas_never_remove_the_last_two_admin_keys() {
    let Some([one, two, _three]) = three(Setup::default()).await else { return };
    let other = one.admin.hire_role(&one, 1, pb::Role::Admin, &["*"]).await;
    let remove = |account: &str, kid: String| pb::RemoveServiceAccountKeyRequest {
        service_account_id: account.to_owned(),
        kid,
        ..Default::default()
    };
    let method = "ServiceAccountService/RemoveServiceAccountKey";
    let (of_one, of_other) = (remove(&one.admin.account_id, one.admin.kid()), remove(&other.account_id, other.kid()));
    // Each removes the other's.
    let (first, second) = tokio::join!(
        one.signed::<_, pb::RemoveServiceAccountKeyResponse>(&one.admin, method, &of_other),
        two.signed::<_, pb::RemoveServiceAccountKeyResponse>(&other, method, &of_one),
    );
    let refused = match (first, second) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("exactly one: {both:?}"),
    };
    assert_eq!(refusal::<()>(Err(refused)).1, "SIGNATURE_INVALID", "it is gone itself");
}

#[tokio::test]
async fn a_limit_is_one_over_all_replicas() {
    const LIMIT: i64 = 90;
    let Some(replicas) = three(Setup::default()).await else { return };
    let made = replicas[0].limited(&[rate_limit("a", LIMIT, 3600)], &[]).await;
    let mut passed = 0;
    for round in 0..3 * LIMIT {
        let replica = &replicas[usize::try_from(round % 3).expect("small")];
        passed += i64::from(replica.spend(&made.secret, 1).await.verdict() == pb::Verdict::Valid);
        assert!(passed <= LIMIT, "{passed}");
    }
    assert_eq!(passed, LIMIT, "and all of it while they keep asking");
}

#[tokio::test]
async fn a_watcher_goes_on_at_another_replica_by_its_token() {
    let Some(replicas) = three(deaf()).await else { return };
    let mut watch = replicas[0].watch(&replicas[0].admin, &from("")).await.expect("watch");
    let (_, mut token) = watch.bookmark().await;
    let mut told = Vec::new();
    let mut expected = Vec::new();
    for round in 0..9 {
        let here = &replicas[round % 3];
        let made = here.key().await;
        // Nobody waits for the others: the next replica may be a little behind the token.
        expected.push(revoke_unconfirmed(here, made.key.expect("key")).await);
        let mut watch = here.watch(&here.admin, &from(&token)).await.expect("resume");
        let (revocation, behind) = watch.revocation().await;
        told.push(revocation.revision);
        token = behind;
        let next = &replicas[(round + 1) % 3];
        drop(next.watch(&next.admin, &from(&token)).await.expect("resume, maybe ahead of that replica"));
    }
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_read_at_another_replica_is_never_from_before() {
    let Some([one, two, _three]) = three(deaf()).await else { return };
    let made = one.key().await.key.expect("key");
    for round in 0..5 {
        let name = format!("name {round}");
        one.update(&made, &["name"], pb::Key { name: name.clone(), ..Default::default() }).await;
        assert_eq!(two.get_key(&made.key_id).await.name, name);
    }
}

#[tokio::test]
async fn an_update_of_what_another_replica_changed_is_told_so_by_its_etag() {
    let Some([one, two, _three]) = three(Setup::default()).await else { return };
    let key = one.key().await.key.expect("key");
    let wish = |name: &str, replica: &Server| {
        let key = pb::Key { name: name.to_owned(), etag: key.etag.clone(), ..key.clone() };
        let request = pb::UpdateKeyRequest { key: Some(key), update_mask: mask(&["name"]), wait: 0 };
        (replica.admin.clone(), request)
    };
    let update = async |replica: &Server, name: &str| {
        let (admin, request) = wish(name, replica);
        replica.signed::<_, pb::UpdateKeyResponse>(&admin, "KeyService/UpdateKey", &request).await
    };
    let (first, second) = tokio::join!(update(&one, "a"), update(&two, "b"));
    let refused = if first.is_ok() { second } else { first };
    assert_eq!(refusal(refused), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
}
