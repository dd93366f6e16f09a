//! What a key spends of its limits and quotas, and what it is told of them.

use std::{sync::Arc, time::Duration};

use portcullis::pb::{self, KeyEnvironment, QuotaPeriod, Verdict};
use tokio::task::JoinSet;

use crate::{
    fields::texts,
    harness::{
        Server,
        limits::{left, quota},
        times::seconds_of,
        verify::{about, about_id, rate_limit},
        violations,
    },
};

/// 2026-11-21T00:00:03Z is when a test begins, and the clock stands still.
const SINCE_MIDNIGHT: i64 = 3;
const DAY: i64 = 24 * 3600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_spenders_at_a_limit_of_a_thousand_get_exactly_a_thousand() {
    let server = Arc::new(Server::start().await);
    let secret = server.limited(&[rate_limit("minute", 1000, 60)], &[]).await.secret;
    let mut spenders = JoinSet::new();
    for _ in 0..50 {
        let (server, secret) = (Arc::clone(&server), secret.clone());
        spenders.spawn(async move { server.spend_all(&secret).await });
    }
    let all = spenders.join_all().await;
    assert_eq!(all.iter().map(|(passed, _)| passed).sum::<i64>(), 1000);
    for (_, refused) in all {
        assert_eq!((refused.verdict(), left(&refused.rate_limits)), (Verdict::RateLimited, vec![("minute", 1000, 0)]));
    }
}

#[tokio::test]
async fn a_call_spends_of_each_window_or_of_none() {
    let server = Server::start().await;
    let limits = [rate_limit("second", 3, 1), rate_limit("minute", 5, 60), rate_limit("hour", 7, 3600)];
    let secret = server.limited(&limits, &[quota(8, QuotaPeriod::Day)]).await.secret;
    let named = |second, minute, hour, day| {
        vec![("second", 3, second), ("minute", 5, minute), ("hour", 7, hour), ("quota.day", 8, day)]
    };
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (3, named(0, 2, 4, 5)));
    assert_eq!((refused.verdict(), seconds_of(refused.retry_after)), (Verdict::RateLimited, Some(1)));
    server.advance(Duration::from_secs(1)).await;
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (2, named(1, 0, 2, 3)));
    assert_eq!(seconds_of(refused.retry_after), Some(60 - SINCE_MIDNIGHT - 1), "until the minute is over");
    server.advance(Duration::from_secs(60)).await;
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (2, named(1, 3, 0, 1)));
    server.advance(Duration::from_secs(3600)).await;
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, refused.verdict(), left(&refused.rate_limits)), (1, Verdict::QuotaExceeded, named(2, 4, 6, 0)));
    assert_eq!(seconds_of(refused.retry_after), Some(DAY - SINCE_MIDNIGHT - 1 - 60 - 3600));
    // Both are too low for 5: the limit is told, and the quota's end is when to come back.
    let refused = server.spend(&secret, 5).await;
    assert_eq!(
        (refused.verdict(), seconds_of(refused.retry_after)),
        (Verdict::RateLimited, None),
        "5 in a second: never"
    );
    let refused = server.spend(&secret, 3).await;
    assert_eq!(refused.verdict(), Verdict::RateLimited);
    assert_eq!(seconds_of(refused.retry_after), Some(DAY - SINCE_MIDNIGHT - 1 - 60 - 3600));
}

#[tokio::test]
async fn a_cost_is_spent_whole_and_one_above_the_limit_never_passes() {
    let server = Server::start().await;
    let key = server.limited(&[rate_limit("minute", 10, 60)], &[]).await;
    let secret = &key.secret;
    for (cost, verdict, remaining) in [
        (0, Verdict::Valid, 9),
        (1, Verdict::Valid, 8),
        (5, Verdict::Valid, 3),
        (4, Verdict::RateLimited, 3),
        (3, Verdict::Valid, 0),
        (1, Verdict::RateLimited, 0),
    ] {
        let answer = server.spend(secret, cost).await;
        assert_eq!((answer.verdict(), left(&answer.rate_limits)), (verdict, vec![("minute", 10, remaining)]), "{cost}");
        assert_eq!(seconds_of(answer.retry_after), (verdict != Verdict::Valid).then_some(57), "{cost}");
    }
    server.advance(Duration::from_secs(57)).await;
    for cost in [11, 1_000_000_000] {
        let answer = server.spend(secret, cost).await;
        assert_eq!((answer.verdict(), answer.retry_after), (Verdict::RateLimited, None), "waiting does not help");
        assert_eq!(left(&answer.rate_limits), [("minute", 10, 10)]);
    }
    for cost in [-1, i64::MIN, 1_000_000_001, i64::MAX] {
        assert_eq!(violations(&server.try_spend(secret, cost).await.expect_err("refused")), ["cost"]);
    }
    assert_eq!(server.spend(secret, 10).await.verdict(), Verdict::Valid);
}

#[tokio::test]
async fn the_largest_limits_are_counted_to_the_last_unit() {
    const MAX: i64 = 1_000_000_000_000_000;
    const COST: i64 = 1_000_000_000;
    let server = Server::start().await;
    let key = server.limited(&[rate_limit("day", MAX, DAY)], &[quota(3 * COST + 1, QuotaPeriod::Month)]).await;
    for calls in 1..=3 {
        let answer = server.spend(&key.secret, COST).await;
        let expected = [("day", MAX, MAX - calls * COST), ("quota.month", 3 * COST + 1, (3 - calls) * COST + 1)];
        assert_eq!((answer.verdict(), left(&answer.rate_limits)), (Verdict::Valid, expected.to_vec()));
    }
    assert_eq!(server.spend(&key.secret, 2).await.verdict(), Verdict::QuotaExceeded);
    let last = server.spend(&key.secret, 1).await;
    assert_eq!(left(&last.rate_limits), [("day", MAX, MAX - 3 * COST - 1), ("quota.month", 3 * COST + 1, 0)]);
}

#[tokio::test]
async fn quotas_begin_anew_with_the_day_and_the_month_of_utc() {
    let server = Server::start().await;
    let secret = server.limited(&[], &[quota(10, QuotaPeriod::Month), quota(6, QuotaPeriod::Day)]).await.secret;
    let reset = |answer: &pb::VerifyKeyResponse| -> Vec<i64> {
        answer.rate_limits.iter().map(|limit| limit.reset_time.expect("reset_time").seconds).collect()
    };
    let midnight = server.now().seconds() - SINCE_MIDNIGHT;
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, refused.verdict()), (6, Verdict::QuotaExceeded));
    assert_eq!(left(&refused.rate_limits), [("quota.month", 10, 4), ("quota.day", 6, 0)]);
    assert_eq!(reset(&refused), [midnight + 10 * DAY, midnight + DAY], "the 1st of December, and tomorrow");
    assert_eq!(seconds_of(refused.retry_after), Some(DAY - SINCE_MIDNIGHT));
    server.advance(Duration::from_secs((DAY - SINCE_MIDNIGHT - 1) as u64)).await;
    assert_eq!(server.spend_all(&secret).await.0, 0, "23:59:59");
    server.advance(Duration::from_secs(1)).await;
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, refused.verdict()), (4, Verdict::QuotaExceeded));
    assert_eq!(seconds_of(refused.retry_after), Some(9 * DAY));
    server.advance(Duration::from_secs((9 * DAY - 1) as u64)).await;
    assert_eq!(server.spend_all(&secret).await.0, 0, "the last second of November");
    server.advance(Duration::from_secs(1)).await;
    let (passed, refused) = server.spend_all(&secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (6, vec![("quota.month", 10, 4), ("quota.day", 6, 0)]));
    assert_eq!(reset(&refused), [midnight + 41 * DAY, midnight + 11 * DAY], "December has 31 days");
}

/// Every check that refuses stands before the limits.
#[tokio::test]
async fn a_refused_call_spends_nothing_and_is_told_what_is_left() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.rate_limits = vec![rate_limit("minute", 10, 60)];
            request.quotas = vec![quota(20, QuotaPeriod::Month)];
            request.ip_allowlist = texts(&["192.0.2.0/24"]);
            request.referrer_allowlist = texts(&["https://a.example"]);
            request.resource_allowlist = texts(&["files/*"]);
        })
        .await;
    let key = made.key.expect("key");
    let good = pb::VerifyKeyRequest {
        required_permissions: texts(&["tasks:read"]),
        client_ip: "192.0.2.1".to_owned(),
        referrer: "https://a.example".to_owned(),
        resource: "files/1".to_owned(),
        cost: 3,
        ..about(&made.secret)
    };
    let expected = [("minute", 10, 7), ("quota.month", 20, 17)];
    let answer = server.ask(&server.admin, &good).await.expect("verify");
    assert_eq!((answer.verdict(), left(&answer.rate_limits)), (Verdict::Valid, expected.to_vec()));
    let bad = [
        (
            pb::VerifyKeyRequest { environment: KeyEnvironment::Test.into(), ..good.clone() },
            Verdict::EnvironmentNotAllowed,
        ),
        (pb::VerifyKeyRequest { required_permissions: texts(&["x:y"]), ..good.clone() }, Verdict::PermissionMissing),
        (pb::VerifyKeyRequest { client_ip: String::new(), ..good.clone() }, Verdict::IpNotAllowed),
        (pb::VerifyKeyRequest { referrer: String::new(), ..good.clone() }, Verdict::ReferrerNotAllowed),
        (pb::VerifyKeyRequest { resource: String::new(), ..good.clone() }, Verdict::ResourceNotAllowed),
        (pb::VerifyKeyRequest { cost: 8, ..good.clone() }, Verdict::RateLimited),
    ];
    for (question, verdict) in &bad {
        for _ in 0..4 {
            let answer = server.ask(&server.admin, question).await.expect("verify");
            assert_eq!((answer.verdict(), left(&answer.rate_limits)), (*verdict, expected.to_vec()));
            assert!(answer.rate_limits.iter().all(|limit| limit.reset_time.is_some()), "{verdict:?}");
        }
    }
    // A dry run tells it all, and spends nothing either.
    let dry = pb::VerifyKeyRequest { dry_run: true, ..good.clone() };
    for (question, failed) in [
        (dry.clone(), vec![]),
        (pb::VerifyKeyRequest { cost: 8, ..dry.clone() }, vec![Verdict::RateLimited]),
        (pb::VerifyKeyRequest { cost: 18, ..dry.clone() }, vec![Verdict::RateLimited, Verdict::QuotaExceeded]),
        (
            pb::VerifyKeyRequest { cost: 18, ..about_id(&key.key_id) },
            vec![
                Verdict::IpNotAllowed,
                Verdict::ReferrerNotAllowed,
                Verdict::ResourceNotAllowed,
                Verdict::RateLimited,
                Verdict::QuotaExceeded,
            ],
        ),
    ] {
        let answer = server.ask(&server.admin, &question).await.expect("verify");
        assert_eq!(answer.failed_checks().collect::<Vec<_>>(), failed);
        assert_eq!(answer.verdict(), failed.first().copied().unwrap_or(Verdict::Valid));
        assert_eq!(left(&answer.rate_limits), expected);
    }
    server.update(&key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
    let answer = server.ask(&server.admin, &good).await.expect("verify");
    assert_eq!((answer.verdict(), left(&answer.rate_limits)), (Verdict::Disabled, expected.to_vec()));
    server.revoke(&key).await;
    let answer = server.ask(&server.admin, &good).await.expect("verify");
    assert_eq!((answer.verdict(), left(&answer.rate_limits)), (Verdict::Revoked, expected.to_vec()));
}

#[tokio::test]
async fn keys_for_tests_spend_their_own() {
    let server = Server::start().await;
    server.set_plan(pb::Plan::Free, &[]).await;
    let live = server.key().await;
    let test = server.key_with(|request| request.environment = KeyEnvironment::Test.into()).await;
    assert_eq!(server.spend_all(&live.secret).await.0, 100);
    let ask = pb::VerifyKeyRequest { environment: KeyEnvironment::Test.into(), ..about(&test.secret) };
    let answer = server.ask(&server.admin, &ask).await.expect("verify");
    assert_eq!(left(&answer.rate_limits), [("minute", 100, 99), ("hour", 1000, 999)]);
}
