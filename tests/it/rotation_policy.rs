//! Rotation by itself: announced, sealed, fetched, and never before its time.

use std::process::Command;

use portcullis::pb::{self, KeyState, RevocationCause, Role, Verdict};
use secrecy::ExposeSecret as _;
use tonic::Code;

use crate::harness::{Persona, Server, refusal, times::unix_seconds, watch::from};

const DAY: i64 = 24 * 3600;

fn days(days: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: days * DAY, nanos: 0 })
}

fn of(days: i64) -> u64 {
    (days * DAY).try_into().expect("positive")
}

/// A key that is rotated every 90 days, for `recipient` where there is one.
async fn rotating(server: &Server, recipient: Option<&Persona>) -> (pb::Key, String) {
    let made = server
        .key_with(|request| {
            request.rotation_period = days(90);
            request.rotation_recipient_kid = recipient.map(Persona::kid).unwrap_or_default();
        })
        .await;
    (made.key.expect("key"), made.secret)
}

/// An account without any role, which runs where the key is used.
async fn service(server: &Server, key: usize) -> Persona {
    let account = pb::ServiceAccount { name: "service".to_owned(), all_applications: true, ..Default::default() };
    server.admin.hire(server, key, account).await
}

/// Fetches and opens.
async fn opened(server: &Server, by: &Persona, key_id: &str) -> String {
    let sealed = server.sealed_secret(by, key_id).await.expect("sealed");
    assert_eq!((sealed.kid, sealed.algorithm.as_str()), (by.kid(), "RSA-OAEP-256"));
    by.key.open(&sealed.ciphertext).expect("opened").expose_secret().to_owned()
}

#[tokio::test]
async fn without_a_recipient_a_rotation_is_announced_and_people_rotate() {
    let server = Server::start().await;
    let (key, secret) = rotating(&server, None).await;
    let mut log = Vec::new();
    for day in 1..=120 {
        let before = server.told(&key).await.len();
        server.pass(of(1)).await;
        log.extend(server.told(&key).await.split_off(before).into_iter().map(|kind| (day, kind)));
    }
    assert_eq!(
        log,
        [60, 83, 89, 90]
            .into_iter()
            .filter(|day| *day != 90)
            .map(|day| (day, "expiring rotation".to_owned()))
            .chain([(90, "unused".to_owned())])
            .collect::<Vec<_>>()
    );
    let told: Vec<_> = server.all_told().await.into_iter().filter(|told| told.kind == "key.expiring").collect();
    assert_eq!(told[0].data["due"], "rotation");
    assert_eq!(server.get_key(&key.key_id).await.rotated_to, "");
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
}

#[tokio::test]
async fn a_rotation_by_itself_seals_the_secret_and_the_old_key_waits_for_it() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (old, old_secret) = rotating(&server, Some(&service)).await;
    server.pass(of(90) - 1).await;
    assert_eq!(server.get_key(&old.key_id).await.rotated_to, "", "not before its time");
    server.pass(1).await;
    let rotated = server.get_key(&old.key_id).await;
    let new = server.get_key(&rotated.rotated_to).await;
    assert_eq!((&new.rotated_from, &new.created_by), (&old.key_id, &old.created_by));
    assert_eq!((&new.permissions, new.state()), (&old.permissions, KeyState::Active));
    assert_eq!(unix_seconds(new.next_rotation_time), server.now().seconds() + 90 * DAY);
    assert_eq!(server.told(&old).await.last().expect("told"), "rotated");
    let audit = server.last_audit().await;
    assert_eq!((audit.method.as_str(), audit.outcome.as_str()), ("jobs/keys", "OK"));

    // However long it takes, and over a restart, too.
    let server = server.restart_after(async |clock, _| clock.advance(std::time::Duration::from_secs(of(50)))).await;
    server.settled().await;
    assert_eq!(server.verdict(&old_secret).await, Verdict::Valid, "its successor's secret was not fetched");

    let secret = opened(&server, &service, &new.key_id).await;
    assert_eq!(opened(&server, &service, &new.key_id).await, secret, "repeatably");
    let end = server.now().seconds() + 48 * 3600;
    assert_eq!(unix_seconds(server.get_key(&old.key_id).await.overlap_end_time), end, "the overlap begins");
    let audits = server.number("SELECT count(*) FROM audit_event WHERE method LIKE '%GetSealedSecret'").await;
    assert_eq!(audits, 2);
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
    assert_eq!(server.verdict(&old_secret).await, Verdict::Valid);
    let gone = (Code::FailedPrecondition, "SEALED_SECRET_GONE".to_owned());
    assert_eq!(refusal(server.sealed_secret(&service, &new.key_id).await), gone, "after the first VALID");
    server.settled().await;
    assert_eq!(server.number("SELECT count(*) FROM sealed_secret WHERE ciphertext IS NOT NULL").await, 0);
    assert_eq!(refusal(server.sealed_secret(&service, &new.key_id).await), gone);

    server.pass(of(2) - 1).await;
    assert_eq!(server.verdict(&old_secret).await, Verdict::Valid);
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    server.pass(1).await;
    assert_eq!(server.verdict(&old_secret).await, Verdict::Revoked);
    let (told, _) = watch.revocation().await;
    assert_eq!((told.cause(), &told.key_id), (RevocationCause::Rotated, &old.key_id));
    let ended = server.get_key(&old.key_id).await;
    assert_eq!((ended.state(), ended.revoke_reason()), (KeyState::Revoked, pb::RevokeReason::Superseded));
    assert_eq!(unix_seconds(ended.revoke_time), end);
}

#[tokio::test]
async fn the_end_of_an_overlap_is_an_event_of_its_own() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let rotate =
        pb::RotateKeyRequest { application_id: server.app.clone(), key_id: key.key_id.clone(), ..Default::default() };
    let _: pb::RotateKeyResponse =
        server.signed(&server.admin, "KeyService/RotateKey", &rotate).await.expect("rotated");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    server.pass(of(2) - 1).await;
    assert_eq!(server.get_key(&key.key_id).await.state(), KeyState::Active);
    server.pass(1).await;
    let (told, _) = watch.revocation().await;
    assert_eq!((told.cause(), &told.key_id), (RevocationCause::Rotated, &key.key_id));
    let ended = server.get_key(&key.key_id).await;
    assert_eq!((ended.revision, ended.revoke_reason()), (told.revision, pb::RevokeReason::Superseded));
    let revision = server.rows().await.revision;
    server.pass(of(1)).await;
    let server = server.restart().await;
    server.settled().await;
    assert_eq!(server.rows().await.revision, revision, "once");
    assert_eq!(server.told(&key).await, ["created", "rotated", "revoked"]);
}

#[tokio::test]
async fn a_sealed_secret_is_for_its_recipient_alone() {
    let server = Server::start().await;
    let (service, other) = (service(&server, 1).await, service(&server, 2).await);
    let (old, _) = rotating(&server, Some(&service)).await;
    server.pass(of(90)).await;
    let new = server.get_key(&old.key_id).await.rotated_to;
    let not_found = (Code::NotFound, "SEALED_SECRET_NOT_FOUND".to_owned());
    for by in [&other, &server.admin] {
        assert_eq!(refusal(server.sealed_secret(by, &new).await), not_found);
    }
    let nobody = old.key_id.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(refusal(server.sealed_secret(&service, &nobody).await), not_found, "nor of another key");
    for by in [&other, &server.admin] {
        assert_eq!(refusal(server.sealed_secret(by, &old.key_id).await), not_found, "nor by the old key's id");
    }
    let elsewhere = pb::ServiceAccount { name: "elsewhere".to_owned(), ..Default::default() };
    let elsewhere = server.admin.hire(&server, 3, elsewhere).await;
    let out = (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned());
    assert_eq!(refusal(server.sealed_secret(&elsewhere, &new).await), out);
    assert_eq!(server.number("SELECT count(*) FROM sealed_secret WHERE fetch_time IS NULL").await, 1);
    let secret = opened(&server, &service, &new).await;
    assert_eq!(opened(&server, &service, &old.key_id).await, secret, "who knows the old key's id alone gets it, too");
}

#[tokio::test]
async fn the_secret_of_a_rotation_by_itself_stands_nowhere() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (old, _) = rotating(&server, Some(&service)).await;
    server.pass(of(90)).await;
    let new = server.get_key(&old.key_id).await.rotated_to;
    let secret = opened(&server, &service, &new).await;
    // All but what is shown for ever.
    let hidden = secret.as_bytes()[secret.len() - 40..].to_vec();
    let bytes = server.data.written().await;
    assert!(!bytes.windows(hidden.len()).any(|window| window == hidden));
    let shown = new.as_bytes();
    assert!(bytes.windows(shown.len()).any(|window| window == shown), "it was looked at");
}

#[tokio::test]
async fn openssl_opens_it_as_the_document_says() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (old, _) = rotating(&server, Some(&service)).await;
    server.pass(of(90)).await;
    let new = server.get_key(&old.key_id).await.rotated_to;
    let sealed = server.sealed_secret(&service, &new).await.expect("sealed");
    let folder = tempfile::tempdir().expect("folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("sealed.bin"), &sealed.ciphertext).expect("write");
    std::fs::write(file("key.pem"), service.key.to_pem().expect("pem").expose_secret()).expect("write");
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rotation.md")).expect("docs/rotation.md");
    let command = page.lines().find(|line| line.starts_with("openssl pkeyutl")).expect("the command");
    let mut words = command.split_whitespace();
    let mut openssl = Command::new(words.next().expect("openssl"));
    let Ok(output) = openssl.args(words).current_dir(folder.path()).output() else {
        assert!(std::env::var_os("CI").is_none(), "openssl is not there, and CI skips nothing");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let secret = String::from_utf8(output.stdout).expect("text");
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
}

#[tokio::test]
async fn a_recipient_that_is_gone_holds_the_rotation_and_is_told_daily() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (key, secret) = rotating(&server, Some(&service)).await;
    service_is(&server, &service, true).await;
    server.pass(of(90)).await;
    let count = async || server.told(&key).await.iter().filter(|kind| *kind == "expiring rotation").count();
    assert_eq!(server.get_key(&key.key_id).await.rotated_to, "");
    let before = count().await;
    for day in 1..=5 {
        server.pass(of(1)).await;
        assert_eq!(count().await, before + day, "each day");
    }
    server.pass(of(60)).await;
    assert_eq!(count().await, before + 6, "and not for days that are past");
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
    service_is(&server, &service, false).await;
    server.pass(of(1)).await;
    let new = server.get_key(&key.key_id).await.rotated_to;
    assert_eq!(server.verdict(&opened(&server, &service, &new).await).await, Verdict::Valid);
}

async fn service_is(server: &Server, service: &Persona, disabled: bool) {
    let wish = pb::ServiceAccount { disabled, ..Default::default() };
    server.admin.update_account(server, &service.account_id, &["disabled"], wish).await.expect("update");
}

#[tokio::test]
async fn another_recipient_has_it_rotated_at_once() {
    let server = Server::start().await;
    let (gone, service) = (service(&server, 1).await, service(&server, 2).await);
    let (key, _) = rotating(&server, Some(&gone)).await;
    server.admin.remove_key(&server, &gone.account_id, &gone.kid()).await.expect("removed");
    server.pass(of(91)).await;
    let wish = pb::Key { rotation_recipient_kid: service.kid(), ..Default::default() };
    server.update(&key, &["rotation_recipient_kid"], wish).await;
    server.settled().await;
    let new = server.get_key(&key.key_id).await.rotated_to;
    assert_eq!(server.verdict(&opened(&server, &service, &new).await).await, Verdict::Valid);
}

#[tokio::test]
async fn what_nobody_fetches_is_told_daily_and_not_rotated_again() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (key, secret) = rotating(&server, Some(&service)).await;
    server.pass(of(90)).await;
    let new = server.get_key(&server.get_key(&key.key_id).await.rotated_to).await;
    for _ in 0..5 {
        server.pass(of(1)).await;
    }
    assert_eq!(server.told(&new).await, ["expiring rotation"; 5]);
    server.pass(of(200)).await;
    assert_eq!(server.get_key(&new.key_id).await.rotated_to, "", "its own secret waits");
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
    assert!(server.told(&new).await.len() <= 8, "{:?}", server.told(&new).await);
    opened(&server, &service, &new.key_id).await;
    server.pass(of(1)).await;
    assert_ne!(server.get_key(&new.key_id).await.rotated_to, "", "the one that is late");
}

#[tokio::test]
async fn a_successor_that_is_revoked_unfetched_keeps_the_old_key_no_longer_than_an_overlap() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (key, secret) = rotating(&server, Some(&service)).await;
    server.pass(of(90)).await;
    let new = server.get_key(&server.get_key(&key.key_id).await.rotated_to).await;
    server.revoke(&new).await;
    server.settled().await;
    let gone = (Code::FailedPrecondition, "SEALED_SECRET_GONE".to_owned());
    assert_eq!(refusal(server.sealed_secret(&service, &new.key_id).await), gone);
    server.pass(of(2) - 1).await;
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
    server.pass(1).await;
    assert_eq!(server.verdict(&secret).await, Verdict::Revoked);
}

#[tokio::test]
async fn an_overlap_of_nothing_ends_when_the_secret_was_fetched_and_not_before() {
    let server = Server::start().await;
    server.set_overlap(0).await;
    let service = service(&server, 1).await;
    let (key, secret) = rotating(&server, Some(&service)).await;
    server.pass(of(92)).await;
    assert_eq!(server.verdict(&secret).await, Verdict::Valid);
    let new = server.get_key(&key.key_id).await.rotated_to;
    let text = opened(&server, &service, &new).await;
    assert_eq!(server.verdict(&secret).await, Verdict::Revoked);
    assert_eq!(server.verdict(&text).await, Verdict::Valid);
}

#[tokio::test]
async fn where_a_secret_was_is_known_for_a_month() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (key, _) = rotating(&server, Some(&service)).await;
    server.pass(of(90)).await;
    let new = server.get_key(&key.key_id).await.rotated_to;
    let text = opened(&server, &service, &new).await;
    assert_eq!(server.verdict(&text).await, Verdict::Valid);
    server.flush().await;
    server.settled().await;
    for (days, reason) in [(30, "SEALED_SECRET_GONE"), (1, "SEALED_SECRET_NOT_FOUND")] {
        server.pass(of(days)).await;
        server.store().forget_seals(server.now()).await.expect("housekeeping");
        assert_eq!(refusal(server.sealed_secret(&service, &new).await).1, reason);
    }
}

#[tokio::test]
async fn nobody_names_a_recipient_for_what_they_may_not_grant() {
    let server = Server::start().await;
    let service = service(&server, 1).await;
    let (key, _) = rotating(&server, None).await;
    let poor = server.admin.hire_role(&server, 2, Role::Editor, &["other:read"]).await;
    let wish = pb::Key { rotation_recipient_kid: service.kid(), ..Default::default() };
    let request = crate::harness::verify::update(&key, &["rotation_recipient_kid"], wish);
    server.refuses(&poor, "KeyService/UpdateKey", &request, Code::PermissionDenied, "GRANT_EXCEEDED").await;
}
