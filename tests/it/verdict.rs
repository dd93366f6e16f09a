//! One verdict out of all that may be wrong, and dry runs, which tell all of it.

use portcullis::pb::{self, Verdict};
use tonic::Code;

use crate::{
    concurrency::while_ringing,
    fields::{label, texts},
    harness::{
        Persona, Server, Setup, refusal,
        verify::{about, about_id, rate_limit, ttl, update},
        violations,
    },
};

const VERIFY: &str = "KeyService/VerifyKey";

/// All that can be wrong with a key that was found, in the order in which it is told.
const CHECKS: [Verdict; 10] = [
    Verdict::Revoked,
    Verdict::Expired,
    Verdict::Disabled,
    Verdict::EnvironmentNotAllowed,
    Verdict::PermissionMissing,
    Verdict::IpNotAllowed,
    Verdict::ReferrerNotAllowed,
    Verdict::ResourceNotAllowed,
    Verdict::RateLimited,
    Verdict::QuotaExceeded,
];

/// Which of the checks fail: the first is the lowest bit.
#[derive(Clone, Copy)]
struct Broken(u32);

impl Broken {
    fn has(self, check: Verdict) -> bool {
        CHECKS.iter().position(|known| *known == check).is_some_and(|at| self.0 >> at & 1 == 1)
    }

    fn told(self) -> Vec<Verdict> {
        CHECKS.into_iter().filter(|check| self.has(*check)).collect()
    }

    /// What a limit allows where one call was spent already.
    fn limit(self, check: Verdict) -> i64 {
        if self.has(check) { 1 } else { 1000 }
    }
}

/// A question that fails as `broken` says, as far as it depends on the question.
fn question(secret: &str, broken: Broken) -> pb::VerifyKeyRequest {
    let fact = |check, wrong: &str, right: &str| if broken.has(check) { wrong } else { right }.to_owned();
    let environment = if broken.has(Verdict::EnvironmentNotAllowed) { 0 } else { pb::KeyEnvironment::Test.into() };
    pb::VerifyKeyRequest {
        environment,
        required_permissions: vec![fact(Verdict::PermissionMissing, "tasks:write", "tasks:read")],
        client_ip: fact(Verdict::IpNotAllowed, "198.51.100.1", "192.0.2.1"),
        referrer: fact(Verdict::ReferrerNotAllowed, "https://example.org", "https://example.com"),
        resource: fact(Verdict::ResourceNotAllowed, "secret", "files/a"),
        ..about(secret)
    }
}

/// A key whose limits fail as `broken` says: one call is spent.
async fn spent_key(server: &Server, broken: Broken) -> pb::CreateKeyResponse {
    let made = server
        .key_with(|request| {
            request.environment = pb::KeyEnvironment::Test.into();
            request.ip_allowlist = texts(&["192.0.2.0/24"]);
            request.referrer_allowlist = texts(&["https://example.com"]);
            request.resource_allowlist = texts(&["files/*"]);
            request.rate_limits = vec![rate_limit("day", broken.limit(Verdict::RateLimited), 24 * 3600)];
            let (limit, period) = (broken.limit(Verdict::QuotaExceeded), pb::QuotaPeriod::Month.into());
            request.quotas = vec![pb::Quota { limit, period }];
            request.labels = vec![label("team", "a")];
            request.expiration = ttl(if broken.has(Verdict::Expired) { 60 } else { 6000 });
        })
        .await;
    assert_eq!(server.verdict_on(&question(&made.secret, Broken(0))).await, Verdict::Valid);
    made
}

/// Every combination of what a key, its limits and a question can be: the first that fails
/// is the verdict, a dry run tells all of them in order, by secret and by id alike.
#[tokio::test]
async fn the_verdict_is_the_first_check_that_fails_and_a_dry_run_tells_them_all() {
    let server = Server::start().await;
    let of_key = |bits: u32| Broken((bits & 0b111) | (bits >> 3) << 8);
    let mut keys = Vec::new();
    for bits in 0..32 {
        keys.push((of_key(bits), spent_key(&server, of_key(bits)).await));
    }
    server.advance(std::time::Duration::from_secs(61)).await;
    for (broken, made) in &keys {
        let key = made.key.as_ref().expect("key");
        if broken.has(Verdict::Disabled) {
            server.update(key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
        }
        if broken.has(Verdict::Revoked) {
            server.revoke(key).await;
        }
    }
    for (broken_key, made) in &keys {
        let key = made.key.as_ref().expect("key");
        for of_question in 0..32 {
            let broken = Broken(broken_key.0 | of_question << 3);
            let (told, ask) = (broken.told(), question(&made.secret, broken));
            let first = told.first().copied().unwrap_or(Verdict::Valid);
            let answer = server.ask(&server.admin, &ask).await.expect("verify");
            assert_eq!(answer.verdict(), first, "{told:?}");
            assert!(answer.failed_checks.is_empty(), "for dry runs only");
            knows(&answer, key);

            let dry = pb::VerifyKeyRequest { dry_run: true, ..ask };
            let dry = server.ask(&server.admin, &dry).await.expect("dry run");
            assert_eq!((dry.verdict(), dry.failed_checks().collect::<Vec<_>>()), (first, told.clone()));
            let by_id =
                pb::VerifyKeyRequest { subject: about_id(&key.key_id).subject, dry_run: true, ..question("", broken) };
            assert_eq!(server.ask(&server.admin, &by_id).await.expect("by id"), dry, "{told:?}");
            knows(&dry, key);
        }
    }
}

/// The facts of the key are in the answer, whatever its verdict.
fn knows(answer: &pb::VerifyKeyResponse, key: &pb::Key) {
    let told = (&answer.key_id, &answer.application_id, &answer.name, answer.r#type, answer.environment);
    assert_eq!(told, (&key.key_id, &key.application_id, &key.name, key.r#type, key.environment));
    let told = (&answer.permissions, &answer.labels, &answer.expire_time);
    assert_eq!(told, (&key.permissions, &key.labels, &key.expire_time));
    let limits: Vec<_> = answer.rate_limits.iter().map(|limit| (limit.name.as_str(), limit.limit)).collect();
    assert_eq!(limits, [("day", key.rate_limits[0].limit), ("quota.month", key.quotas[0].limit)]);
    let refused_by_limit = matches!(answer.verdict(), Verdict::RateLimited | Verdict::QuotaExceeded);
    assert_eq!(answer.retry_after.is_some(), refused_by_limit, "{answer:?}");
}

#[tokio::test]
async fn of_a_text_that_is_no_key_nothing_is_told() {
    let server = Server::start().await;
    let foreign = Server::start().await.key().await.secret;
    let oversized = "sk_live_".to_owned() + &"0".repeat(50_000);
    for (text, verdict) in [
        ("", Verdict::Malformed),
        ("Bearer sk_live_", Verdict::Malformed),
        (&oversized, Verdict::Malformed),
        (&foreign, Verdict::NotFound),
    ] {
        // A question that a key could fail in many ways.
        let ask = pb::VerifyKeyRequest { required_permissions: texts(&["*"]), ..question(text, Broken(0)) };
        let answer = server.ask(&server.admin, &ask).await.expect("verify");
        let bare = pb::VerifyKeyResponse { verdict: verdict.into(), revision: answer.revision, ..Default::default() };
        assert_eq!(answer, bare);
        assert!(answer.revision > 0);
        let dry = server.ask(&server.admin, &pb::VerifyKeyRequest { dry_run: true, ..ask }).await.expect("dry run");
        assert_eq!(dry, pb::VerifyKeyResponse { failed_checks: vec![verdict.into()], ..bare });
    }
}

#[tokio::test]
async fn who_has_the_secret_asks_as_a_verifier_and_who_has_the_id_as_a_viewer() {
    let server = Server::start().await;
    let made = server.key().await;
    let key_id = made.key.expect("key").key_id;
    let by_id = about_id(&key_id);
    let by_secret = about(&made.secret);
    let dry_by_secret = pb::VerifyKeyRequest { dry_run: true, ..by_secret.clone() };
    let missing = (Code::PermissionDenied, "ROLE_MISSING".to_owned());
    for (number, role, verifies) in
        [(1, pb::Role::Verifier, true), (2, pb::Role::Viewer, false), (3, pb::Role::Editor, false)]
    {
        let person = server.admin.hire_role(&server, number, role, &[]).await;
        for (question, may) in [(&by_secret, verifies), (&dry_by_secret, verifies), (&by_id, !verifies)] {
            let answer = server.ask(&person, question).await;
            match may {
                true => assert_eq!(answer.expect("it may").verdict(), Verdict::Valid, "{role:?}"),
                false => assert_eq!(refusal(answer), missing, "{role:?} {question:?}"),
            }
        }
    }
    for question in [&by_secret, &dry_by_secret, &by_id] {
        assert_eq!(server.verdict_on(question).await, Verdict::Valid, "ADMIN is both");
    }
}

#[tokio::test]
async fn an_id_is_for_dry_runs_only() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let earnest = pb::VerifyKeyRequest { dry_run: false, ..about_id(&key.key_id) };
    server.refuses_fields(VERIFY, &earnest, &["key_id"]).await;
    for text in ["", "key_", "app_0000000000000000000000", &key.prefix, "key_000000000000000000000\0"] {
        server.refuses_fields(VERIFY, &about_id(text), &["key_id"]).await;
    }
    let nothing = pb::VerifyKeyRequest { dry_run: true, ..Default::default() };
    server.refuses_fields(VERIFY, &nothing, &["secret"]).await;
}

/// One role, in the server's application only.
async fn bound(server: &Server, number: usize, role: pb::Role) -> Persona {
    let account = pb::ServiceAccount {
        name: "bound".to_owned(),
        roles: vec![role.into()],
        application_ids: vec![server.app.clone()],
        ..Default::default()
    };
    server.admin.hire(server, number, account).await
}

#[tokio::test]
async fn a_dry_run_by_id_finds_no_key_outside_the_application_and_the_scope() {
    let server = Server::start().await;
    let viewer = bound(&server, 1, pb::Role::Viewer).await;
    let application = Some(pb::Application { name: "other".to_owned(), ..Default::default() });
    let request = pb::CreateApplicationRequest { application, ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = other.application.expect("application").application_id;
    let own = server.key().await.key.expect("key").key_id;
    let foreign = server.key_with(|request| request.application_id.clone_from(&other)).await.key.expect("key").key_id;

    let of = |key_id: &str, application_id: &str| pb::VerifyKeyRequest {
        application_id: application_id.to_owned(),
        ..about_id(key_id)
    };
    for (person, question, verdict) in [
        (&viewer, of(&own, ""), Verdict::Valid),
        (&viewer, of(&own, &server.app), Verdict::Valid),
        (&viewer, of(&foreign, ""), Verdict::NotFound),
        (&viewer, of(&foreign, &server.app), Verdict::NotFound),
        (&viewer, of("key_0000000000000000000000", ""), Verdict::NotFound),
        (&server.admin, of(&foreign, ""), Verdict::Valid),
        (&server.admin, of(&foreign, &other), Verdict::Valid),
        (&server.admin, of(&foreign, &server.app), Verdict::NotFound),
        (&server.admin, of(&own, &other), Verdict::NotFound),
    ] {
        let answer = server.ask(person, &question).await.expect("verify");
        assert_eq!(answer.verdict(), verdict, "{question:?}");
        if verdict == Verdict::NotFound {
            let (verdict, failed_checks) = (verdict.into(), vec![verdict.into()]);
            let bare =
                pb::VerifyKeyResponse { verdict, failed_checks, revision: answer.revision, ..Default::default() };
            assert_eq!(answer, bare, "not a word of the key");
        }
    }
    for key_id in [&foreign, &own] {
        let answer = server.ask(&viewer, &of(key_id, &other)).await;
        assert_eq!(refusal(answer), (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned()));
    }
}

#[tokio::test]
async fn a_dry_run_spends_nothing() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.rate_limits = vec![rate_limit("minute", 2, 60)];
            request.quotas = vec![pb::Quota { limit: 2, period: pb::QuotaPeriod::Day.into() }];
        })
        .await;
    let earnest = about(&made.secret);
    let dry = pb::VerifyKeyRequest { dry_run: true, ..earnest.clone() };
    let by_id = about_id(&made.key.expect("key").key_id);
    for left in [2, 1, 0] {
        for question in [&dry, &by_id] {
            for _ in 0..5 {
                let answer = server.ask(&server.admin, question).await.expect("dry run");
                let remaining: Vec<_> = answer.rate_limits.iter().map(|limit| limit.remaining).collect();
                assert_eq!(remaining, [left, left]);
                let expected = if left > 0 { Verdict::Valid } else { Verdict::RateLimited };
                assert_eq!(answer.verdict(), expected, "as it would be");
            }
        }
        let answer = server.ask(&server.admin, &earnest).await.expect("verify");
        assert_eq!(answer.verdict() == Verdict::Valid, left > 0);
    }
    let whole = pb::VerifyKeyRequest { cost: 3, ..dry };
    let answer = server.ask(&server.admin, &whole).await.expect("dry run");
    assert_eq!(answer.failed_checks().collect::<Vec<_>>(), [Verdict::RateLimited, Verdict::QuotaExceeded]);
    assert_eq!(answer.retry_after, None, "it never will pass");
}

/// The store may be ahead of what this replica decides by.
#[tokio::test]
async fn a_dry_run_by_id_rests_on_the_revision_that_one_by_secret_rests_on() {
    let server = Server::start_with(Setup::held()).await;
    let limits = |limit| vec![rate_limit("minute", limit, 60)];
    let made = while_ringing(&server, server.key_with(|request| request.rate_limits = limits(5))).await;
    let key = made.key.expect("key");
    let dry = pb::VerifyKeyRequest { dry_run: true, ..about(&made.secret) };
    let before = server.ask(&server.admin, &dry).await.expect("by secret");
    let wish = pb::Key { disabled: true, rate_limits: limits(4), ..Default::default() };
    let update = update(&key, &["disabled", "rate_limits"], wish);
    let update = pb::UpdateKeyRequest { wait: pb::RevokeWait::None.into(), ..update };
    let _: pb::UpdateKeyResponse = server.signed(&server.admin, "KeyService/UpdateKey", &update).await.expect("update");
    for question in [&about_id(&key.key_id), &dry] {
        assert_eq!(server.ask(&server.admin, question).await.expect("dry run"), before);
    }
    while_ringing(&server, async {
        while server.verdict_on(&dry).await == Verdict::Valid {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    for question in [&about_id(&key.key_id), &dry] {
        let answer = server.ask(&server.admin, question).await.expect("dry run");
        assert_eq!((answer.verdict(), answer.rate_limits[0].limit), (Verdict::Disabled, 4));
    }
}

/// Where several things are wrong with the question itself, all are told, and no verdict.
#[tokio::test]
async fn a_question_that_does_not_read_has_no_verdict() {
    let server = Server::start().await;
    let revoked = server.key().await;
    server.revoke(&revoked.key.expect("key")).await;
    let bad = pb::VerifyKeyRequest {
        application_id: "x".to_owned(),
        environment: 3,
        required_permissions: texts(&["ok:ok", "*:*:*"]),
        client_ip: "localhost".to_owned(),
        cost: -1,
        min_revision: -1,
        ..about(&revoked.secret)
    };
    let status = server.ask(&server.admin, &bad).await.expect_err("no verdict");
    let mut told = violations(&status);
    told.sort();
    let all = ["application_id", "client_ip", "cost", "environment", "min_revision", "required_permissions[1]"];
    assert_eq!(told, all);
}
