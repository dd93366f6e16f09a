//! Stops, kills, and a database that is away: what was counted is there, once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use portcullis::{client::CallFailed, pb};
use tokio::{task::JoinSet, time::Instant};

use crate::harness::{Caller, Deployment, Rows, Server, WriteLock};

async fn verify(server: &Server, secret: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(server.verdict(secret).await, pb::Verdict::Valid);
    }
}

#[tokio::test]
async fn a_clean_stop_loses_nothing() {
    let mut server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key").key_id;
    for stops in 1..=3 {
        verify(&server, &made.secret, 7).await;
        server = server.restart().await;
        let request =
            pb::GetKeyUsageRequest { application_id: server.app.clone(), key_id: key.clone(), ..Default::default() };
        assert_eq!(server.try_usage(&request).await.expect("usage").requests, 7 * stops);
    }
    let rows = Rows::of(&server).await;
    assert_eq!(rows.number("SELECT count(*) FROM usage_source").await, 3, "a process, a source");
}

#[tokio::test]
async fn while_the_database_is_away_calls_count_on_and_nothing_is_lost_or_doubled() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key").key_id;
    verify(&server, &made.secret, 3).await;
    server.flush().await;
    let rows = Rows::of(&server).await;
    let batches = "SELECT max(batch) FROM usage_source";
    let before = rows.number(batches).await;

    verify(&server, &made.secret, 4).await;
    let lock = WriteLock::take(&server).await;
    // Longer than a statement waits for the lock: at least one batch fails, and is kept.
    let until = Instant::now() + Duration::from_secs(7);
    let mut away = 0;
    while Instant::now() < until {
        verify(&server, &made.secret, 1).await;
        away += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(tokio::time::timeout(Duration::from_millis(10), server.running().usage().flushed()).await.is_err());
    lock.release().await;
    assert_eq!(server.usage(&key).await.requests, 3 + 4 + away);
    assert_eq!(server.usage("").await.requests, 3 + 4 + away);
    let batches = rows.number(batches).await - before;
    assert!(batches <= 3, "{batches} batches: those of the whole time are merged");
}

#[tokio::test]
async fn a_source_that_was_forgotten_is_named_anew_and_nothing_is_lost() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key").key_id;
    verify(&server, &made.secret, 3).await;
    server.flush().await;
    let rows = Rows::of(&server).await;
    rows.change("DELETE FROM usage_source").await;
    verify(&server, &made.secret, 4).await;
    assert_eq!(server.usage(&key).await.requests, 7);
    // A database that was put back to an earlier state is no reason to lose anything either.
    verify(&server, &made.secret, 2).await;
    server.flush().await;
    rows.change("UPDATE usage_source SET batch = 0").await;
    verify(&server, &made.secret, 1).await;
    assert_eq!(server.usage(&key).await.requests, 10);
}

#[tokio::test]
async fn a_flush_of_nothing_writes_nothing() {
    let server = Server::start().await;
    server.flush().await;
    let rows = Rows::of(&server).await;
    assert_eq!(rows.number("SELECT count(*) FROM usage_source").await, 0);
    verify(&server, &server.key().await.secret, 1).await;
    for _ in 0..3 {
        server.flush().await;
    }
    assert_eq!(rows.numbers("SELECT batch FROM usage_source").await, [1]);
}

#[tokio::test]
async fn hours_are_kept_for_35_days_days_for_400_and_sources_for_one() {
    const DAY: Duration = Duration::from_hours(24);
    let server = Server::start().await;
    verify(&server, &server.key().await.secret, 2).await;
    server.flush().await;
    let rows = Rows::of(&server).await;
    let kept = async || {
        let unit =
            async |unit: &str| rows.number(&format!("SELECT count(*) FROM usage_count WHERE unit = '{unit}'")).await;
        let sources = rows.number("SELECT count(*) FROM usage_source").await;
        (unit("hour").await, unit("day").await, unit("month").await, sources)
    };
    let forget = async |after: Duration| {
        server.store().forget_usage(server.now().checked_add(after).expect("in range")).await.expect("forget")
    };
    assert_eq!(kept().await, (2, 2, 2, 1), "of the key and of its application");
    assert_eq!(forget(DAY).await, 0);
    assert_eq!(kept().await, (2, 2, 2, 1));
    assert_eq!(forget(35 * DAY - Duration::from_hours(1)).await, 0);
    assert_eq!(kept().await, (2, 2, 2, 0), "who has not flushed for a day is gone");
    assert_eq!(forget(36 * DAY).await, 2);
    assert_eq!(kept().await, (0, 2, 2, 0));
    // More than are deleted at once.
    rows.change(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) \
         INSERT INTO usage_count SELECT 'app', 'key', 'hour', i, 'valid', 1 FROM n",
    )
    .await;
    assert_eq!(forget(36 * DAY).await, 25_000);
    assert_eq!(forget(399 * DAY).await, 2, "the month began 20 days before");
    assert_eq!(kept().await, (0, 2, 0, 0));
    assert_eq!(forget(401 * DAY).await, 2);
}

/// Asks until a call fails; counts the answers.
async fn load(caller: Arc<Caller>, secret: String, answers: Arc<AtomicI64>, sent: Arc<AtomicI64>) {
    let subject = Some(pb::verify_key_request::Subject::Secret(secret));
    let request = pb::VerifyKeyRequest { subject, ..Default::default() };
    loop {
        sent.fetch_add(1, Ordering::SeqCst);
        let answer: Result<pb::VerifyKeyResponse, CallFailed> = caller.call("KeyService/VerifyKey", &request).await;
        if answer.is_err() {
            return;
        }
        answers.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn counted(caller: &Caller, application_id: &str, key_id: &str) -> i64 {
    let request = pb::GetKeyUsageRequest {
        application_id: application_id.to_owned(),
        key_id: key_id.to_owned(),
        ..Default::default()
    };
    let usage: pb::GetKeyUsageResponse = caller.call("KeyService/GetKeyUsage", &request).await.expect("usage");
    usage.requests
}

/// How long it took until so many calls were in the database.
async fn until_counted(caller: &Caller, application_id: &str, key_id: &str, calls: i64) -> Duration {
    let begun = Instant::now();
    while counted(caller, application_id, key_id).await < calls {
        assert!(begun.elapsed() < Duration::from_secs(30), "usage is never added");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_kill_loses_the_last_second_at_most_and_a_terminated_process_nothing() {
    let deployment = Deployment::make().await;
    let mut process = deployment.serve(&[]);
    let mut caller = Arc::new(process.caller().await);
    let application = caller.application().await;
    let made = caller.create(&application).await.expect("create");
    let key = made.key.expect("key").key_id;
    let (answers, sent) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    for _ in 0..3 {
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            tasks.spawn(load(Arc::clone(&caller), made.secret.clone(), Arc::clone(&answers), Arc::clone(&sent)));
        }
        until_counted(&caller, &application, &key, answers.load(Ordering::SeqCst) + 100).await;
        let took = until_counted(&caller, &application, &key, answers.load(Ordering::SeqCst)).await;
        println!("a call was in the database {took:?} after its answer at the latest");
        assert!(took < Duration::from_secs(4), "it is added every second, and this machine may be slow: {took:?}");
        let there = counted(&caller, &application, &key).await;
        process.kill();
        tasks.join_all().await;
        process = deployment.serve(&[]);
        caller = Arc::new(process.caller().await);
        let after = counted(&caller, &application, &key).await;
        assert!((there..=sent.load(Ordering::SeqCst)).contains(&after), "{there} were there, and now {after}");
        // What was lost will never be answered for.
        answers.store(after, Ordering::SeqCst);
        sent.store(after, Ordering::SeqCst);
    }
    for _ in 0..25 {
        assert_eq!(caller.verdict(&made.secret).await, pb::Verdict::Valid);
    }
    assert!(process.terminate().await.success());
    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    assert_eq!(counted(&caller, &application, &key).await, answers.load(Ordering::SeqCst) + 25);
}
