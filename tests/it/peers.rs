//! What other systems got wrong and their users reported, where `VerifyKey`, limits or
//! updates could get it wrong too. Each test says which kind of mistake it rules out; those
//! that other files rule out already are not repeated here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis::pb::{self, KeyEnvironment, Verdict};

use crate::{
    fields::texts,
    harness::{
        Rows, Server,
        verify::{about, rate_limit, ttl},
    },
};

/// Every column of every key, as the database has them.
async fn key_rows(rows: &Rows) -> Vec<String> {
    let columns = rows.columns("api_key").await;
    let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
    rows.texts(&format!("SELECT {} FROM api_key ORDER BY key_id", quoted.join(" || ', ' || "))).await
}

/// Caches that a request in flight filled again with what it had read before an update:
/// the update never took effect, the revoked key came back, the deleted one was made anew.
#[tokio::test]
async fn verifies_in_flight_bring_no_old_state_back() {
    let server = Arc::new(Server::start().await);
    let made = server.key().await;
    let key = made.key.expect("key");
    let question = pb::VerifyKeyRequest {
        required_permissions: texts(&["tasks:read"]),
        client_ip: "192.0.2.1".to_owned(),
        ..about(&made.secret)
    };
    let over = Arc::new(AtomicBool::new(false));
    let mut flights = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (server, question, over) = (Arc::clone(&server), question.clone(), Arc::clone(&over));
        flights.spawn(async move {
            let mut asked = 0_u32;
            while !over.load(Ordering::Relaxed) {
                server.verdict_on(&question).await;
                asked += 1;
            }
            asked
        });
    }
    let disabled = |disabled| pb::Key { disabled, ..Default::default() };
    let permissions = |names: &[&str]| pb::Key { permissions: texts(names), ..Default::default() };
    let ips = |entries: &[&str]| pb::Key { ip_allowlist: texts(entries), ..Default::default() };
    for _ in 0..3 {
        for (path, wish, verdict) in [
            ("disabled", disabled(true), Verdict::Disabled),
            ("disabled", disabled(false), Verdict::Valid),
            ("permissions", permissions(&["tasks:write"]), Verdict::PermissionMissing),
            ("permissions", permissions(&["tasks:read"]), Verdict::Valid),
            ("ip_allowlist", ips(&["198.51.100.0/24"]), Verdict::IpNotAllowed),
            ("ip_allowlist", ips(&["192.0.2.0/24"]), Verdict::Valid),
        ] {
            server.update(&key, &[path], wish).await;
            for _ in 0..10 {
                assert_eq!(server.verdict_on(&question).await, verdict, "{path}");
            }
        }
    }
    let rows = Rows::of(&server).await;
    server.revoke(&key).await;
    let revoked = key_rows(&rows).await;
    for _ in 0..50 {
        assert_eq!(server.verdict_on(&question).await, Verdict::Revoked);
    }
    over.store(true, Ordering::Relaxed);
    assert!(flights.join_all().await.iter().all(|asked| *asked > 50), "they were in flight all the time");
    assert_eq!(key_rows(&rows).await, revoked);
}

/// A verify that wrote the whole row back, so that a disable or a permission cut of the same
/// moment was undone; one that deleted what it found expired.
#[tokio::test]
async fn a_verify_writes_nothing_about_a_key_whatever_it_finds() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.expiration = ttl(60);
            request.ip_allowlist = texts(&["192.0.2.0/24"]);
            request.rate_limits = vec![rate_limit("minute", 3, 60)];
        })
        .await;
    let key = made.key.expect("key");
    let good = pb::VerifyKeyRequest { client_ip: "192.0.2.1".to_owned(), ..about(&made.secret) };
    let rows = Rows::of(&server).await;
    let before = (key_rows(&rows).await, server.rows().await);
    for expected in [Verdict::Valid, Verdict::Valid, Verdict::Valid, Verdict::RateLimited, Verdict::RateLimited] {
        assert_eq!(server.verdict_on(&good).await, expected);
        assert_eq!(server.verdict_on(&about(&made.secret)).await, Verdict::IpNotAllowed);
    }
    assert_eq!((key_rows(&rows).await, server.rows().await), before);
    // That it expired is written by a job.
    server.pass(61).await;
    let before = (key_rows(&rows).await, server.rows().await);
    assert_eq!(server.verdict_on(&good).await, Verdict::Expired);
    assert_eq!((key_rows(&rows).await, server.rows().await), before);
    // It is there still, and may be extended.
    server.update(&key, &["expire_time"], pb::Key::default()).await;
    assert_eq!(server.verdict_on(&good).await, Verdict::Valid);
}

/// A key with full access that was waved through before anybody asked whether it is blocked.
#[tokio::test]
async fn full_access_excuses_from_nothing_but_permissions() {
    let server = Server::start().await;
    for full in ["*", "*:*", "admin:*"] {
        let made = server
            .key_with(|request| {
                request.permissions = texts(&[full]);
                request.ip_allowlist = texts(&["192.0.2.0/24"]);
                request.resource_allowlist = texts(&["files/*"]);
                request.rate_limits = vec![rate_limit("minute", 1, 60)];
            })
            .await;
        let key = made.key.expect("key");
        let good = pb::VerifyKeyRequest {
            required_permissions: texts(&["tasks:read", "*"]),
            client_ip: "192.0.2.1".to_owned(),
            resource: "files/a".to_owned(),
            ..about(&made.secret)
        };
        let elsewhere = pb::VerifyKeyRequest { client_ip: "198.51.100.1".to_owned(), ..good.clone() };
        let other = pb::VerifyKeyRequest { resource: "secret".to_owned(), ..good.clone() };
        let test = pb::VerifyKeyRequest { environment: KeyEnvironment::Test.into(), ..good.clone() };
        for (question, verdict) in [
            (&good, Verdict::Valid),
            (&good, Verdict::RateLimited),
            (&elsewhere, Verdict::IpNotAllowed),
            (&other, Verdict::ResourceNotAllowed),
            (&test, Verdict::EnvironmentNotAllowed),
        ] {
            assert_eq!(server.verdict_on(question).await, verdict, "{full}");
        }
        server.update(&key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
        assert_eq!(server.verdict_on(&good).await, Verdict::Disabled, "{full}");
        server.revoke(&key).await;
        assert_eq!(server.verdict_on(&good).await, Verdict::Revoked, "{full}");
    }
}

/// Revoked keys that a restart and a clean-up job made good again; and the other way round,
/// a reconciliation after a reconnect that revoked every key.
#[tokio::test]
async fn a_restart_and_a_clean_up_long_after_change_no_verdict() {
    let server = Server::start().await;
    let (valid, revoked) = (server.key().await, server.key().await);
    let restricted = server.key_with(|request| request.ip_allowlist = texts(&["192.0.2.1"])).await;
    server.revoke(&revoked.key.expect("key")).await;
    server.advance(Duration::from_hours(24 * 30)).await;
    let now = server.now();
    assert!(server.store().compact(now).await.expect("compact") > 0, "the log holds the revocation no more");
    server.store().forget_nonces(now).await.expect("nonces");
    server.store().forget_requests(now).await.expect("requests");
    let server = server.restart().await.restart().await;
    for (secret, verdict) in [
        (&valid.secret, Verdict::Valid),
        (&revoked.secret, Verdict::Revoked),
        (&restricted.secret, Verdict::IpNotAllowed),
    ] {
        assert_eq!(server.verdict(secret).await, verdict);
    }
}

/// A window that began anew with each request, so that steady traffic below the limit was
/// blocked in the end; a default limit that nobody had asked for.
#[tokio::test]
async fn steady_traffic_below_the_limit_is_never_blocked() {
    let server = Server::start().await;
    let limited = server.key_with(|request| request.rate_limits = vec![rate_limit("minute", 10, 60)]).await.secret;
    let unlimited = server.key().await.secret;
    for call in 0..90 {
        assert_eq!(server.verdict(&limited).await, Verdict::Valid, "call {call}");
        for _ in 0..10 {
            assert_eq!(server.verdict(&unlimited).await, Verdict::Valid, "no limit is no limit");
        }
        server.advance(Duration::from_secs(7)).await;
    }
}

/// One counter for all limits of one owner, whatever their names; calls that count twice.
#[tokio::test]
async fn limits_of_one_name_are_counted_for_each_key_apart_and_each_call_once() {
    let server = Server::start().await;
    let application = Some(pb::Application { name: "other".to_owned(), ..Default::default() });
    let request = pb::CreateApplicationRequest { application, ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = other.application.expect("application").application_id;
    let mut keys = Vec::new();
    for (application, environment) in [
        (&server.app, KeyEnvironment::Live),
        (&server.app, KeyEnvironment::Live),
        (&server.app, KeyEnvironment::Test),
        (&other, KeyEnvironment::Live),
    ] {
        let made = server
            .key_with(|request| {
                request.application_id.clone_from(application);
                request.environment = environment.into();
                request.rate_limits = vec![rate_limit("calls", 3, 60), rate_limit("calls_an_hour", 5, 3600)];
            })
            .await;
        keys.push(pb::VerifyKeyRequest { environment: environment.into(), ..about(&made.secret) });
    }
    for question in &keys {
        for left in [2, 1, 0] {
            let answer = server.ask(&server.admin, question).await.expect("verify");
            let told: Vec<_> = answer.rate_limits.iter().map(|l| (l.name.as_str(), l.remaining)).collect();
            assert_eq!(told, [("calls", left), ("calls_an_hour", left + 2)], "neither the other's nor twice");
            assert_eq!(answer.verdict(), Verdict::Valid);
        }
        assert_eq!(server.verdict_on(question).await, Verdict::RateLimited);
    }
}

/// Keys of an organisation that ended with the user who had made them, or that no admin
/// could list or revoke.
#[tokio::test]
async fn a_key_outlives_the_account_that_made_it_and_is_any_admins_to_end() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:read"]).await;
    let request =
        pb::CreateKeyRequest { application_id: server.app.clone(), name: "theirs".to_owned(), ..Default::default() };
    let made: pb::CreateKeyResponse = server.signed(&editor, "KeyService/CreateKey", &request).await.expect("create");
    server.admin.disable_account(&server, &editor.account_id).await.expect("disable");
    assert_eq!(server.verdict(&made.secret).await, Verdict::Valid);
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert_eq!(listed.keys, [made.key.expect("key")]);
    server.revoke(&listed.keys[0]).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
}

/// Two owners with the same key: its traffic was one's or the other's, by chance.
#[tokio::test]
async fn no_two_keys_have_one_text() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let rows = Rows::of(&server).await;
    let mut columns = rows.columns("api_key").await;
    columns.retain(|column| column != "key_id");
    let columns = columns.join(", ");
    let copy = |hash: &str| {
        let values = columns.replace("secret_sha256", hash);
        let id = format!("key_{}", &crate::harness::uuid().replace('-', "")[..22]);
        format!(
            "INSERT INTO api_key (key_id, {columns}) SELECT '{id}', {values} FROM api_key WHERE key_id = '{}'",
            key.key_id
        )
    };
    let refused = rows.try_change(&copy("secret_sha256")).await.expect_err("the database itself refuses it");
    assert!(refused.to_string().contains("secret_sha256"), "{refused}");
    rows.change(&copy("randomblob(32)")).await;
    assert_eq!(rows.number("SELECT count(*) FROM api_key").await, 2, "and nothing else is wrong with the row");
}

/// Wildcards in grants that the documents promised and the code compared as plain text.
#[tokio::test]
async fn a_wildcard_in_a_grant_matches_what_it_stands_for() {
    let server = Server::start().await;
    for (held, wanted, verdict) in [
        ("tasks:*", "tasks:read", Verdict::Valid),
        ("*:read", "tasks:read", Verdict::Valid),
        ("tasks:*", "users:read", Verdict::PermissionMissing),
        ("tasks:*", "tasks2:read", Verdict::PermissionMissing),
        ("*:read", "tasks:write", Verdict::PermissionMissing),
        ("tasks:read", "tasks:*", Verdict::PermissionMissing),
        ("tasks:*", "tasks:*", Verdict::Valid),
    ] {
        let secret = server.key_with(|request| request.permissions = texts(&[held])).await.secret;
        let question = pb::VerifyKeyRequest { required_permissions: texts(&[wanted]), ..about(&secret) };
        assert_eq!(server.verdict_on(&question).await, verdict, "{held} for {wanted}");
    }
}

/// A key of the wrong class that was accepted: what class a key is of is part of the text
/// that was hashed, and not what its prefix claims.
#[tokio::test]
async fn a_text_that_claims_another_class_is_no_key() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    let body = &secret["sk_live_".len()..secret.len() - 6];
    assert_eq!(with_checksum(&format!("sk_live_{body}")), secret);
    for begins in ["pk_live_", "sk_test_", "pk_test_", "acme_sk_live_"] {
        let claimed = with_checksum(&format!("{begins}{body}"));
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let question = pb::VerifyKeyRequest { environment: environment.into(), ..about(&claimed) };
            assert_eq!(server.verdict_on(&question).await, Verdict::NotFound, "{begins}");
        }
    }
}

/// CRC-32 (ISO-HDLC) in base62, as docs/keys.md says.
fn with_checksum(text: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut checksum = !text.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    });
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(checksum % 62) as usize];
        checksum /= 62;
    }
    format!("{text}{}", digits.map(char::from).iter().collect::<String>())
}
