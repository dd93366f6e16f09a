//! Limits over restarts, kills, a database that is away and clocks that step; and how
//! seldom the database is asked.

use std::{sync::Arc, time::Duration};

use portcullis::{
    pb::{self, QuotaPeriod, Verdict},
    replica::Pace,
};
use tonic::Code;

use crate::harness::{
    Caller, Deployment, Headers, Server, Setup, WriteLock,
    limits::{left, quota},
    refusal,
    verify::{about, rate_limit},
};

#[tokio::test]
async fn a_clean_restart_forgets_nothing_and_loses_nothing() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("hour", 300, 3600)], &[quota(500, QuotaPeriod::Month)]).await;
    for _ in 0..70 {
        server.spend(&made.secret, 1).await;
    }
    let server = server.restart().await;
    let told = [("hour".to_owned(), 230), ("quota.month".to_owned(), 430)];
    assert_eq!(server.remaining(&made.secret).await, told);
    assert_eq!(server.spend_all(&made.secret).await.0, 230);
    let server = server.restart().await;
    assert_eq!(server.spend_all(&made.secret).await.0, 0);
}

/// What is left of a key's only quota.
async fn quota_left(caller: &Caller, secret: &str) -> i64 {
    let subject = Some(pb::get_rate_limit_request::Subject::Secret(secret.to_owned()));
    let request = pb::GetRateLimitRequest { subject, ..Default::default() };
    let told: pb::GetRateLimitResponse = caller.call("KeyService/GetRateLimit", &request).await.expect("limits");
    told.rate_limits[0].remaining
}

async fn pass(caller: &Caller, secret: &str, calls: i64) {
    for _ in 0..calls {
        let answer: pb::VerifyKeyResponse = caller.call("KeyService/VerifyKey", &about(secret)).await.expect("verify");
        assert_eq!(answer.verdict(), Verdict::Valid);
    }
}

#[tokio::test]
async fn what_was_spent_before_a_kill_stays_spent_and_little_more() {
    const LIMIT: i64 = 400;
    let deployment = Deployment::make().await;
    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    let request = pb::CreateKeyRequest {
        application_id: caller.application().await,
        name: "key".to_owned(),
        quotas: vec![quota(LIMIT, QuotaPeriod::Month)],
        ..Default::default()
    };
    let made: pb::CreateKeyResponse = caller.call("KeyService/CreateKey", &request).await.expect("create");
    pass(&caller, &made.secret, 60).await;
    assert!(process.terminate().await.success());

    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    assert_eq!(quota_left(&caller, &made.secret).await, LIMIT - 60, "a clean stop gives back what was in hand");
    pass(&caller, &made.secret, 40).await;
    process.kill();

    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    let left = quota_left(&caller, &made.secret).await;
    println!("{} of {LIMIT} were in hand when it was killed", LIMIT - 100 - left);
    assert!(left <= LIMIT - 100, "{left}: spent stays spent");
    // In hand is at most what a second took, and what was left when it asked again.
    assert!(left >= LIMIT - 100 - 60, "{left}");
    pass(&caller, &made.secret, left).await;
    assert_eq!(caller.verdict(&made.secret).await, Verdict::QuotaExceeded);
    assert!(process.terminate().await.success());
}

#[tokio::test]
async fn within_a_window_the_database_is_asked_seldom_and_for_chunks_only() {
    // The loop turns when a mutation rings and at no other time.
    let pace = Pace { every: Duration::from_hours(1), ..Pace::default() };
    let server = Server::start_with(Setup { pace, ..Setup::default() }).await;
    let made = server.limited(&[rate_limit("hour", 100_000, 3600)], &[quota(1_000_000, QuotaPeriod::Month)]).await;
    let revoked = server.limited(&[rate_limit("hour", 10, 3600)], &[]).await;
    server.revoke(revoked.key.as_ref().expect("key")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let statements = server.store().statements();
    let mut before = server.store().hand_outs();
    let headers = Headers::bearer(&server.admin.token(&server));
    for (round, most) in [(1, 20), (2, 8), (3, 8)] {
        for _ in 0..1000 {
            assert_eq!(server.spend_by(&headers, &made.secret).await.verdict(), Verdict::Valid);
            // A thousand calls a second.
            server.setup.clock.advance(Duration::from_millis(1));
        }
        let now = server.store().hand_outs();
        println!("second {round}: {} hand-outs for 1,000 calls", now - before);
        assert!(now > before && now - before <= most, "{}", now - before);
        before = now;
    }
    for _ in 0..100 {
        assert_eq!(server.spend(&revoked.secret, 1).await.verdict(), Verdict::Revoked);
    }
    assert_eq!(server.store().hand_outs(), before + 1, "how it stands is asked once a window");
    assert_eq!(server.store().statements(), statements, "and nothing else is asked of the database");
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_refused_from_memory_and_asked_about_once_a_second() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("hour", 10, 3600)], &[]).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 10);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = server.store().hand_outs();
    for _ in 0..200 {
        assert_eq!(server.spend(&made.secret, 1).await.verdict(), Verdict::RateLimited);
    }
    assert_eq!(server.store().hand_outs(), before);
    // With the database away it is not asked in vain: what is known is answered.
    server.setup.clock.advance(Duration::from_secs(2));
    let lock = WriteLock::take(&server).await;
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(server.spend(&made.secret, 1).await.verdict(), Verdict::RateLimited);
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}: no call waits", begun.elapsed());
    lock.release().await;
}

#[tokio::test]
async fn with_the_database_away_what_is_in_hand_passes_and_then_it_is_unavailable() {
    let server = Arc::new(Server::start().await);
    let made = server.limited(&[rate_limit("hour", 1000, 3600)], &[]).await;
    let (unknown, unlimited) = (server.limited(&[rate_limit("hour", 1000, 3600)], &[]).await, server.key().await);
    assert_eq!(server.spend(&made.secret, 1).await.verdict(), Verdict::Valid);
    let lock = WriteLock::take(&server).await;
    let mut passed = 1;
    let refused = loop {
        match server.try_spend(&made.secret, 1).await {
            Ok(answer) => {
                assert_eq!(answer.verdict(), Verdict::Valid, "nobody can know that the limit is reached");
                passed += 1;
            }
            Err(status) => break status,
        }
        assert!(passed < 1000);
    };
    assert_eq!(passed, 8, "a first chunk");
    let unavailable = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned());
    assert_eq!(refusal::<()>(Err(refused)), unavailable);
    let refused =
        pb::VerifyKeyRequest { required_permissions: vec!["users:read".to_owned()], ..about(&unknown.secret) };
    let dry = pb::VerifyKeyRequest { dry_run: true, ..about(&unknown.secret) };
    let subject = Some(pb::get_rate_limit_request::Subject::Secret(unknown.secret.clone()));
    let get = pb::GetRateLimitRequest { subject, ..Default::default() };
    let (valid, dry, refused, get) = tokio::join!(
        server.try_spend(&unknown.secret, 1),
        server.ask(&server.admin, &dry),
        server.ask(&server.admin, &refused),
        server.rate_limit(&get),
    );
    assert_eq!(refusal(valid), unavailable, "a window that has begun unseen");
    assert_eq!((refusal(dry), refusal(get)), (unavailable.clone(), unavailable));
    let refused = refused.expect("what is refused anyhow is refused");
    assert_eq!((refused.verdict(), refused.rate_limits.len()), (Verdict::PermissionMissing, 0));
    assert_eq!(server.spend(&unlimited.secret, 1).await.verdict(), Verdict::Valid, "it has nothing to ask for");
    lock.release().await;
    let (more, _) = server.spend_all(&made.secret).await;
    assert_eq!(passed + more, 1000, "what was asked for in vain is not lost");
}

#[tokio::test]
async fn a_clock_that_steps_over_the_edge_of_a_window_fills_no_limit_twice() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("minute", 20, 60)], &[]).await;
    let sync = async |step: i64| {
        server.setup.clock.step(step * 1_000_000);
        server.running().replica().sync_pass().await;
    };
    for _ in 0..4 {
        assert_eq!(server.spend(&made.secret, 1).await.verdict(), Verdict::Valid);
    }
    // Ahead: what is in hand is of the window before, and then the next one's.
    sync(60).await;
    let (passed, refused) = server.spend_all(&made.secret).await;
    assert!((20..=36).contains(&passed), "{passed}: of two windows of 20, with 4 spent before");
    assert_eq!(refused.verdict(), Verdict::RateLimited);
    // Back: that window was, and is not opened again.
    sync(-60).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 0);
    let server = server.restart().await;
    assert_eq!(server.spend_all(&made.secret).await.0, 0, "nor by a restart");
    server.advance(Duration::from_secs(56)).await;
    let (passed, refused) = server.spend_all(&made.secret).await;
    assert_eq!((passed, left(&refused.rate_limits)), (0, vec![("minute", 20, 0)]), "up to its end");
    server.advance(Duration::from_secs(64)).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 20);
}
