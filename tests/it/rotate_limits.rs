//! A chain of rotated keys spends one budget, by one set of limits.

use std::{sync::Arc, time::Duration};

use portcullis::pb::{self, QuotaPeriod, RevocationCause, Verdict, get_rate_limit_request::Subject};
use tokio::task::JoinSet;

use crate::harness::{
    Headers, Rows, Server,
    limits::{left, quota},
    rotate::{HOUR, Pair},
    verify::{rate_limit, update},
    watch::from,
};

const LIMITS: &[&str] = &["rate_limits"];

async fn limited(server: &Server, limit: i64) -> (String, Pair) {
    let made = server.limited(&[rate_limit("hour", limit, 3600)], &[quota(2 * limit, QuotaPeriod::Month)]).await;
    let pair = server.rotate(&made.key.expect("key"), 48 * HOUR).await;
    (made.secret, pair)
}

fn wish(limit: i64) -> pb::Key {
    pb::Key { rate_limits: vec![rate_limit("hour", limit, 3600)], ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_spenders_by_both_keys_get_exactly_the_limit_over_the_pair() {
    let server = Arc::new(Server::start().await);
    let (old, pair) = limited(&server, 500).await;
    let mut spenders = JoinSet::new();
    for number in 0..16 {
        let (server, secret) = (Arc::clone(&server), if number % 2 == 0 { old.clone() } else { pair.secret.clone() });
        spenders.spawn(async move { server.spend_all(&secret).await });
    }
    let all = spenders.join_all().await;
    assert_eq!(all.iter().map(|(passed, _)| passed).sum::<i64>(), 500);
    for (_, refused) in all {
        assert_eq!(left(&refused.rate_limits)[0], ("hour", 500, 0));
    }
}

#[tokio::test]
async fn what_was_spent_before_a_rotation_and_before_a_restart_stays_spent() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("hour", 10, 3600)], &[quota(15, QuotaPeriod::Month)]).await;
    let by = Headers::bearer(&server.admin.token(&server));
    let spend = async |server: &Server, secret: &str, times: usize| {
        for _ in 0..times {
            assert_eq!(server.spend_by(&by, secret).await.verdict(), Verdict::Valid);
        }
    };
    spend(&server, &made.secret, 3).await;
    let one = server.rotate(&made.key.expect("key"), 48 * HOUR).await;
    spend(&server, &one.secret, 2).await;
    spend(&server, &made.secret, 1).await;
    let two = server.rotate(&one.new, 48 * HOUR).await;
    spend(&server, &two.secret, 1).await;
    let expected = vec![("hour".to_owned(), 3), ("quota.month".to_owned(), 8)];
    for secret in [&made.secret, &one.secret, &two.secret] {
        assert_eq!(server.remaining(secret).await, expected, "three keys, one budget");
    }
    for id in [&one.old.key_id, &one.new.key_id, &two.new.key_id] {
        let request = pb::GetRateLimitRequest { subject: Some(Subject::KeyId(id.clone())), ..Default::default() };
        let told = server.rate_limit(&request).await.expect("limits");
        assert_eq!((&told.key_id, left(&told.rate_limits)), (id, vec![("hour", 10, 3), ("quota.month", 15, 8)]));
    }
    let server = server.restart().await;
    assert_eq!(server.remaining(&one.secret).await, expected);
    spend(&server, &made.secret, 2).await;
    spend(&server, &one.secret, 1).await;
    let refused = server.spend(&two.secret, 1).await;
    assert_eq!((refused.verdict(), left(&refused.rate_limits)[0]), (Verdict::RateLimited, ("hour", 10, 0)));
    server.advance(Duration::from_hours(1)).await;
    let (passed, refused) = server.spend_all(&one.secret).await;
    assert_eq!((passed, refused.verdict()), (5, Verdict::QuotaExceeded), "the month's is shared too");
    let rows = Rows::of(&server).await;
    assert_eq!(rows.texts("SELECT DISTINCT budget FROM budget").await, [one.old.key_id], "of the first key");
}

#[tokio::test]
async fn limits_that_are_set_through_any_living_key_are_those_of_the_chain() {
    let server = Server::start().await;
    let (old, pair) = limited(&server, 10).await;
    server.spend(&old, 2).await;
    let raised = server.update(&pair.old, LIMITS, wish(20)).await;
    let of_new = server.get_key(&pair.new.key_id).await;
    assert_eq!((&of_new.rate_limits, of_new.revision), (&wish(20).rate_limits, raised.revision), "one mutation");
    assert_eq!(of_new.update_time, server.ahead(0));
    for secret in [&old, &pair.secret] {
        assert_eq!(server.remaining(secret).await[0], ("hour".to_owned(), 18));
    }
    let quotas = pb::Key { quotas: vec![quota(30, QuotaPeriod::Month)], ..Default::default() };
    server.update(&pair.new, &["quotas"], quotas.clone()).await;
    let of_old = server.get_key(&pair.old.key_id).await;
    assert_eq!((of_old.quotas, of_old.rate_limits), (quotas.quotas, wish(20).rate_limits));
    let server = server.restart().await;
    let (passed, _) = server.spend_all(&pair.secret).await;
    assert_eq!(passed, 18);
    assert_eq!(server.spend(&old, 1).await.verdict(), Verdict::RateLimited);
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn each_key_that_a_change_of_limits_narrows_is_told_once_and_no_other() {
    let server = Server::start().await;
    let (_, one) = limited(&server, 10).await;
    let two = server.rotate(&one.new, HOUR).await;
    let dead = server.rotate(&two.new, 0).await;
    let alive = [&one.old, &one.new, &dead.new].map(|key| key.key_id.clone());
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    server.update(&one.new, LIMITS, wish(20)).await;
    let lowered = server.update(&one.new, LIMITS, wish(5)).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let (revocation, _) = watch.revocation().await;
        assert_eq!((revocation.revision, revocation.cause()), (lowered.revision, RevocationCause::Narrowed));
        told.push(revocation.key_id);
    }
    told.sort();
    let mut expected = alive.to_vec();
    expected.sort();
    assert_eq!(told, expected);
    let last = server.revoke(&dead.new).await;
    assert_eq!(watch.revocation().await.0.revision, last.revision, "a raise was not told");
    let ended = server.get_key(&two.new.key_id).await;
    assert_eq!((ended.rate_limits, ended.revision), (wish(10).rate_limits, dead.revision), "what has ended stays");
}

#[tokio::test]
async fn a_key_whose_overlap_is_over_keeps_its_limits_written_down_or_not() {
    let server = Server::start().await;
    let (_, pair) = limited(&server, 10).await;
    server.advance(Duration::from_hours(48)).await;
    server.update(&pair.new, LIMITS, wish(5)).await;
    assert_eq!(server.get_key(&pair.old.key_id).await.rate_limits, wish(10).rate_limits);
    assert_eq!(server.get_key(&pair.new.key_id).await.rate_limits, wish(5).rate_limits);
}

#[tokio::test]
async fn the_other_fields_are_each_keys_own() {
    let server = Server::start().await;
    let (_, pair) = limited(&server, 10).await;
    let name = pb::Key { name: "old".to_owned(), permissions: vec!["tasks:write".to_owned()], ..Default::default() };
    server.update(&pair.old, &["name", "permissions"], name).await;
    assert_eq!(server.get_key(&pair.new.key_id).await, pair.new);
    server.set_plan(pb::Plan::Free, &[]).await;
    let above = update(&pair.old, LIMITS, wish(1_000_000));
    server.refuses_fields("KeyService/UpdateKey", &above, &["key.rate_limits[0].limit"]).await;
}
