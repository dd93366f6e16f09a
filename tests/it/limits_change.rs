//! Plans, and limits that change while they are spent.

use std::time::Duration;

use portcullis::{
    pb::{self, Plan, QuotaPeriod, RevocationCause, Verdict},
    watch::Limits,
};
use tonic::Code;

use crate::{
    fields::label,
    harness::{
        Server, Setup,
        limits::{left, quota},
        mask, refusal,
        verify::{rate_limit, update},
        violations,
        watch::from,
    },
};

fn with(rate_limits: &[pb::RateLimit]) -> pb::Key {
    pb::Key { rate_limits: rate_limits.to_vec(), ..Default::default() }
}

#[tokio::test]
async fn a_plan_limits_each_key_of_its_application() {
    let server = Server::start().await;
    let own = [rate_limit("burst", 20, 10)];
    for (plan, own, expected) in [
        (Plan::Unspecified, &[][..], vec![]),
        (Plan::Free, &[], vec![("minute", 100, 99), ("hour", 1000, 999)]),
        (Plan::Professional, &[], vec![("minute", 500, 499), ("hour", 10_000, 9999)]),
        (Plan::Enterprise, &own, vec![("burst", 20, 19)]),
    ] {
        server.set_plan(plan, own).await;
        let key = server.key().await;
        assert_eq!(left(&server.spend(&key.secret, 1).await.rate_limits), expected, "{plan:?}");
    }
    server.set_plan(Plan::Free, &[]).await;
    let (one, other) = (server.key().await, server.key().await);
    for window in 0..10 {
        assert_eq!(server.spend_all(&one.secret).await.0, 100, "minute {window}");
        server.advance(Duration::from_secs(60)).await;
    }
    let (passed, refused) = server.spend_all(&one.secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (0, vec![("minute", 100, 100), ("hour", 1000, 0)]));
    assert_eq!(server.spend(&other.secret, 1).await.verdict(), Verdict::Valid, "each has them for itself");
}

#[tokio::test]
async fn a_keys_own_limits_narrow_the_plans_and_all_that_are_above_it_are_wrong_fields() {
    let server = Server::start().await;
    server.set_plan(Plan::Free, &[]).await;
    let key = server.limited(&[rate_limit("mine", 10, 60), rate_limit("burst", 2, 1)], &[]).await;
    let expected = [("mine", 10, 9), ("burst", 2, 1), ("hour", 1000, 999)];
    assert_eq!(left(&server.spend(&key.secret, 1).await.rate_limits), expected);

    let above = [rate_limit("m", 101, 60), rate_limit("s", 1_000_000, 10), rate_limit("h", 1001, 3600)];
    let create = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".to_owned(),
        rate_limits: above.to_vec(),
        ..Default::default()
    };
    server.refuses_fields("KeyService/CreateKey", &create, &["rate_limits[0].limit", "rate_limits[2].limit"]).await;
    let key = key.key.expect("key");
    let change = update(&key, &["rate_limits"], with(&above));
    let fields = ["key.rate_limits[0].limit", "key.rate_limits[2].limit"];
    server.refuses_fields("KeyService/UpdateKey", &change, &fields).await;
    server.update(&key, &["rate_limits"], with(&[rate_limit("m", 100, 60)])).await;
}

#[tokio::test]
async fn a_downgrade_clamps_at_once_and_leaves_keys_as_they_are() {
    let server = Server::start().await;
    server.set_plan(Plan::Professional, &[]).await;
    let made = server.limited(&[rate_limit("mine", 400, 60)], &[]).await;
    for _ in 0..60 {
        assert_eq!(server.spend(&made.secret, 1).await.verdict(), Verdict::Valid);
    }
    server.set_plan(Plan::Free, &[]).await;
    let (passed, refused) = server.spend_all(&made.secret).await;
    assert!(passed <= 40, "{passed} after 60 were spent of what is 100 now");
    assert_eq!(refused.verdict(), Verdict::RateLimited);
    let told: Vec<_> = left(&refused.rate_limits).into_iter().map(|(name, limit, _)| (name, limit)).collect();
    assert_eq!(told, [("mine", 100), ("hour", 1000)]);
    server.advance(Duration::from_secs(60)).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 100, "and all of it in the next window");

    // What it is allowed by itself stays: other updates go through, also of all fields.
    let key = made.key.expect("key");
    let wish = pb::Key { labels: vec![label("team", "a")], rate_limits: key.rate_limits.clone(), ..Default::default() };
    let updated = server.update(&key, &["labels", "rate_limits"], wish).await.key.expect("key");
    assert_eq!(updated.rate_limits, key.rate_limits);
    server.set_plan(Plan::Professional, &[]).await;
    server.advance(Duration::from_secs(60)).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 400, "after an upgrade it holds again");
}

#[tokio::test]
async fn a_limit_of_another_name_is_the_same_limit() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("first", 50, 60)], &[]).await;
    let key = made.key.expect("key");
    for _ in 0..20 {
        server.spend(&made.secret, 1).await;
    }
    server.update(&key, &["rate_limits"], with(&[rate_limit("second", 50, 60)])).await;
    let (passed, refused) = server.spend_all(&made.secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (30, vec![("second", 50, 0)]));
    // Nor does another plan with the same limit fill it again, nor taking it away for a while.
    server.set_plan(Plan::Enterprise, &[rate_limit("of-plan", 50, 60)]).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 0);
    server.update(&key, &["rate_limits"], pb::Key::default()).await;
    server.set_plan(Plan::Unspecified, &[]).await;
    assert_eq!(server.spend(&made.secret, 1).await.rate_limits, []);
    server.update(&key, &["rate_limits"], with(&[rate_limit("third", 50, 60)])).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 0);
}

#[tokio::test]
async fn a_limit_that_is_raised_or_lowered_counts_what_was_spent() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("minute", 10, 60)], &[quota(1000, QuotaPeriod::Month)]).await;
    let key = made.key.expect("key");
    let set = async |limit| {
        server.update(&key, &["rate_limits"], with(&[rate_limit("minute", limit, 60)])).await;
        server.spend_all(&made.secret).await
    };
    assert_eq!(server.spend_all(&made.secret).await.0, 10);
    assert_eq!(set(25).await.0, 15, "10 of 25 are spent");
    let (passed, refused) = set(5).await;
    assert_eq!((passed, left(&refused.rate_limits)), (0, vec![("minute", 5, 0), ("quota.month", 1000, 975)]));
    assert_eq!(set(30).await.0, 5, "25 of 30 are spent, and what was lowered in between is not handed out again");
    server.advance(Duration::from_secs(60)).await;
    for (limit, passed) in [(7, 7), (6, 0), (8, 1)] {
        assert_eq!(set(limit).await.0, passed, "{limit}");
    }
    // With some of it in hand: what is in hand of a raised limit is not lost.
    server.advance(Duration::from_secs(60)).await;
    server.spend(&made.secret, 1).await;
    assert_eq!(set(100).await.0, 99);
}

#[tokio::test]
async fn watches_are_told_when_a_limit_is_lowered_or_a_plan_changes() {
    let limits = Limits { bookmark_every: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let key = server.limited(&[rate_limit("minute", 10, 60)], &[]).await.key.expect("key");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let quotas = |limit| pb::Key { quotas: vec![quota(limit, QuotaPeriod::Day)], ..Default::default() };
    let steps = [
        ("rate_limits", with(&[rate_limit("minute", 9, 60)]), true),
        ("rate_limits", with(&[rate_limit("renamed", 9, 60)]), false),
        ("rate_limits", with(&[rate_limit("renamed", 11, 60)]), false),
        ("rate_limits", with(&[rate_limit("renamed", 11, 60), rate_limit("hour", 1000, 3600)]), true),
        ("rate_limits", with(&[rate_limit("renamed", 11, 30)]), true),
        ("rate_limits", with(&[]), false),
        ("quotas", quotas(5), true),
        ("quotas", quotas(6), false),
        ("quotas", pb::Key::default(), false),
    ];
    for (path, wish, is_narrower) in steps {
        let revision = server.update(&key, &[path], wish.clone()).await.revision;
        let told = watch.up_to(revision).await;
        let told: Vec<_> = told.iter().map(|item| (item.key_id.as_str(), item.cause())).collect();
        let expected = is_narrower.then_some((key.key_id.as_str(), RevocationCause::Narrowed));
        assert_eq!(told, Vec::from_iter(expected), "{path}: {wish:?}");
    }
    for (plan, own) in [
        (Plan::Free, &[][..]),
        (Plan::Professional, &[]),
        (Plan::Enterprise, &[rate_limit("a", 5, 60)]),
        (Plan::Enterprise, &[rate_limit("a", 4, 60)]),
        (Plan::Unspecified, &[]),
    ] {
        let revision = server.set_plan(plan, own).await;
        let told = watch.up_to(revision).await;
        let told: Vec<_> =
            told.iter().map(|item| (item.key_id.as_str(), item.application_id.as_str(), item.cause())).collect();
        assert_eq!(told, [("", server.app.as_str(), RevocationCause::Narrowed)], "{plan:?}: the whole application");
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_limits_is_told_at_once() {
    let server = Server::start().await;
    let window = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let bad = [
        pb::RateLimit { window: None, ..rate_limit("a", 10, 60) },
        pb::RateLimit { window: window(0, 0), ..rate_limit("a", 0, 60) },
        pb::RateLimit { window: window(1, 1), ..rate_limit("b", 1_000_000_000_000_001, 60) },
        rate_limit("c", -1, 86_401),
        rate_limit("d", 10, 60),
        rate_limit("d", 0, 60),
        rate_limit("quota.day", 10, -1),
    ];
    let quotas = [quota(1, QuotaPeriod::Day), quota(0, QuotaPeriod::Day), quota(1, QuotaPeriod::Unspecified)];
    let of = |prefix: &str| -> Vec<String> {
        let fields = [
            "quotas[1].limit",
            "quotas[1].period",
            "quotas[2].period",
            "rate_limits[0].window",
            "rate_limits[1].limit",
            "rate_limits[1].name",
            "rate_limits[1].window",
            "rate_limits[2].limit",
            "rate_limits[2].window",
            "rate_limits[3].limit",
            "rate_limits[3].window",
            "rate_limits[5].limit",
            "rate_limits[5].name",
            "rate_limits[5].window",
            "rate_limits[6].name",
            "rate_limits[6].window",
        ];
        fields.iter().map(|field| format!("{prefix}{field}")).collect()
    };
    let refs =
        |fields: &[String]| fields.iter().map(|field| Box::leak(field.clone().into_boxed_str()) as &str).collect();
    let create = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".to_owned(),
        rate_limits: bad.to_vec(),
        quotas: quotas.to_vec(),
        ..Default::default()
    };
    let fields: Vec<&str> = refs(&of(""));
    server.refuses_fields("KeyService/CreateKey", &create, &fields).await;
    let key = server.key().await.key.expect("key");
    let wish = pb::Key { rate_limits: bad.to_vec(), quotas: quotas.to_vec(), ..Default::default() };
    let fields: Vec<&str> = refs(&of("key."));
    server.refuses_fields("KeyService/UpdateKey", &update(&key, &["rate_limits", "quotas"], wish), &fields).await;

    let eleven: Vec<_> = (1..=11).map(|n| rate_limit(&format!("l{n}"), 10, n)).collect();
    let change = update(&key, &["rate_limits"], with(&eleven));
    server.refuses_fields("KeyService/UpdateKey", &change, &["key.rate_limits"]).await;
    server.update(&key, &["rate_limits"], with(&eleven[..10])).await;
    let thirty = pb::Key { quotas: vec![quota(1, QuotaPeriod::Day); 30], ..Default::default() };
    let status = server.try_update(&key, &["quotas"], thirty).await.expect_err("refused");
    assert_eq!(violations(&status).len(), 9, "the first few");
}

#[tokio::test]
async fn only_enterprise_has_limits_of_its_own() {
    let server = Server::start().await;
    let change = |plan: Plan, rate_limits: &[pb::RateLimit], paths: &[&str]| {
        let application = pb::Application {
            application_id: server.app.clone(),
            plan: plan.into(),
            rate_limits: rate_limits.to_vec(),
            ..Default::default()
        };
        pb::UpdateApplicationRequest { application: Some(application), update_mask: mask(paths) }
    };
    let (method, own) = ("ApplicationService/UpdateApplication", [rate_limit("a", 5, 60)]);
    let field = ["application.rate_limits"];
    for plan in [Plan::Unspecified, Plan::Free, Plan::Professional] {
        server.refuses_fields(method, &change(plan, &own, &["plan", "rate_limits"]), &field).await;
    }
    server.refuses_fields(method, &change(Plan::Enterprise, &own, &["rate_limits"]), &field).await;
    for none in [change(Plan::Enterprise, &[], &["plan"]), change(Plan::Enterprise, &[], &["plan", "rate_limits"])] {
        server.refuses_fields(method, &none, &field).await; // it would limit nothing, unnoticed
    }
    server.set_plan(Plan::Enterprise, &own).await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:read"]).await;
    let answer = server.signed::<_, ()>(&editor, method, &change(Plan::Enterprise, &[], &["rate_limits"])).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "ROLE_MISSING".to_owned()), "an editor widens no plan");
    // Another plan takes them away.
    let request = change(Plan::Free, &[], &["plan"]);
    let updated: pb::UpdateApplicationResponse = server.signed(&server.admin, method, &request).await.expect("update");
    let application = updated.application.expect("application");
    assert_eq!((application.plan(), application.rate_limits.len()), (Plan::Free, 0));
}
