//! Jobs: on any replica, each thing once, over kills and downtime, and without a storm.

use std::time::{Duration, Instant};

use portcullis::{
    entropy::Entropy,
    jobs::{KeyJob, Running},
    pb::{self, KeyState, Verdict},
};
use portcullis_migrations::{Migrator, MigratorTrait as _};
use uuid::Uuid;

use crate::harness::{Rows, Server, WriteLock, verify::ttl, watch::from};

const DAY: u64 = 24 * 3600;
const DAYS: i64 = 24 * 3600;

#[tokio::test]
async fn two_thousand_keys_that_expire_at_one_moment_are_told_soon_and_once_each() {
    const KEYS: u128 = 2000;
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(3600)).await;
    let key = made.key.expect("key");
    let server =
        server.restart_after(async |_, data| drop(Rows::of(data).await.copy_key(&key.key_id, 0..KEYS - 1).await)).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let before = server.rows().await;
    server.advance(Duration::from_secs(3600)).await;
    let begun = Instant::now();
    server.settled().await;
    let took = begun.elapsed();
    let rows = server.rows().await;
    println!("{KEYS} keys expired in {took:?}, by {} revisions", rows.revision - before.revision);
    assert_eq!(rows.revision - before.revision, 20, "100 keys a revision");
    let mut ids = Vec::new();
    for _ in 0..KEYS {
        let (told, _) = watch.revocation().await;
        assert_eq!(told.cause(), pb::RevocationCause::Expired);
        ids.push(told.key_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2000);
    assert_eq!(server.number("SELECT count(*) FROM notice WHERE kind = 'key.expired'").await, 2000);
    assert_eq!(server.number("SELECT count(*) FROM api_key WHERE expired").await, 2000);
}

/// What another replica of the same store would run.
async fn beside(server: &Server, holder: u128) -> Running {
    let mut jobs = Running::new(server.store().clone(), Uuid::from_u128(holder));
    jobs.start(KeyJob::new(server.store().clone(), server.running().replica().clone(), Entropy::system()));
    jobs
}

#[tokio::test]
async fn several_replicas_do_each_thing_once() {
    let server = Server::start().await;
    let [mut one, mut other] = [beside(&server, 1).await, beside(&server, 2).await];
    let mut keys = Vec::new();
    for seconds in 1..=40 {
        keys.push(server.key_with(|request| request.expiration = ttl(seconds)).await.key.expect("key"));
    }
    let created = server.rows().await.revision;
    for _ in 0..40 {
        server.advance(Duration::from_secs(1)).await;
        let (handles, others) = (one.handles(), other.handles());
        let all = tokio::join!(server.settled(), handles.settled(), others.settled());
        assert_eq!((all.1, all.2), (true, true));
    }
    // Whoever had the claim last may have been another than who looked last.
    server.pass(20).await;
    for key in &keys {
        assert_eq!(server.told(key).await, ["created", "expired"]);
        assert_eq!(server.get_key(&key.key_id).await.state(), KeyState::Expired);
    }
    let revision = server.rows().await.revision;
    assert!(revision <= created + 40, "{revision} after {created}");
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn a_claim_of_somebody_who_died_runs_out() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(100)).await;
    let key = made.key.expect("key");
    // The server's own claim, if it has one, is over by then.
    server.pass(60).await;
    let dead = Uuid::from_u128(3);
    assert!(server.store().claim_job("jobs/keys", dead, Duration::from_secs(60)).await.expect("claim"));
    server.pass(45).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Expired, "which needs no job");
    assert_eq!(server.told(&key).await, ["created"], "another has the job");
    server.pass(16).await;
    assert_eq!(server.told(&key).await, ["created", "expired"]);
}

#[tokio::test]
async fn an_idle_service_writes_nothing_and_asks_nothing_that_calls_would_be_held_to() {
    let server = Server::start().await;
    let key = server.key_with(|request| request.expiration = ttl(1000)).await.key.expect("key");
    server.settled().await;
    let (rows, statements) = (server.rows().await, server.store().statements());
    for _ in 0..5 {
        server.pass(100).await;
    }
    assert_eq!((server.rows().await, server.store().statements()), (rows, statements));
    assert_eq!(server.number("SELECT count(*) FROM job_claim").await, 0, "nor claims what is not due");
    assert_eq!(server.told(&key).await, ["created"]);
}

#[tokio::test]
async fn a_reminder_is_no_revision_and_no_act() {
    let server = Server::start().await;
    let key = server.key_with(|request| request.expiration = ttl(40 * DAYS)).await.key.expect("key");
    let rows = server.rows().await;
    server.pass(10 * DAY).await;
    assert_eq!(server.told(&key).await, ["created", "expiring expiry"]);
    assert_eq!(server.rows().await, rows);
}

#[tokio::test]
async fn after_a_hundred_days_of_downtime_all_is_done_once_and_nothing_storms() {
    let server = Server::start().await;
    let service = pb::ServiceAccount { name: "service".to_owned(), all_applications: true, ..Default::default() };
    let service = server.admin.hire(&server, 1, service).await;
    let kid = service.kid();
    let period = |days: i64| Some(prost_types::Duration { seconds: days * DAYS, nanos: 0 });
    let mut made = Vec::new();
    for wish in 0..7 {
        made.push(
            server
                .key_with(|request| match wish {
                    0 => request.expiration = ttl(50 * DAYS),
                    1 => request.expiration = ttl(105 * DAYS),
                    2 => (request.expiration, request.auto_renew) = (ttl(104 * DAYS), true),
                    3 => (request.expiration, request.auto_renew) = (ttl(90 * DAYS), true),
                    4 => request.rotation_period = period(90),
                    5 => {
                        (request.rotation_period, request.rotation_recipient_kid) = (period(30), kid.clone());
                    }
                    _ => {}
                })
                .await,
        );
    }
    let keys: Vec<pb::Key> = made.iter().map(|made| made.key.clone().expect("key")).collect();
    let rotate = pb::RotateKeyRequest {
        application_id: server.app.clone(),
        key_id: keys[6].key_id.clone(),
        ..Default::default()
    };
    let _: pb::RotateKeyResponse =
        server.signed(&server.admin, "KeyService/RotateKey", &rotate).await.expect("rotated");
    let before = server.rows().await;
    let server = server.restart_after(async |clock, _| clock.advance(Duration::from_secs(100 * DAY))).await;
    let verdicts = async |when: &str| {
        for (at, expected) in [
            (0, Verdict::Expired),
            (1, Verdict::Valid),
            (2, Verdict::Valid),
            (3, Verdict::Expired),
            (4, Verdict::Valid),
            (5, Verdict::Valid),
            (6, Verdict::Revoked),
        ] {
            assert_eq!(server.verdict(&made[at].secret).await, expected, "{at} {when} the jobs");
        }
    };
    verdicts("before").await;
    server.settled().await;
    verdicts("after").await;
    let expected: [&[&str]; 7] = [
        &["created", "expired"],
        &["created", "expiring expiry", "unused"],
        &["created", "renewed", "unused"],
        &["created", "expired"],
        &["created", "expiring rotation", "unused"],
        &["created", "rotated"],
        &["created", "rotated", "revoked"],
    ];
    for (key, expected) in keys.iter().zip(expected) {
        let mut told = server.told(key).await;
        // Used just now, or not yet counted when it was looked up.
        told.retain(|kind| kind != "unused");
        let expected: Vec<_> = expected.iter().filter(|kind| **kind != "unused").collect();
        assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{}", key.key_id);
    }
    let revisions = server.rows().await.revision - before.revision;
    assert!(revisions <= 2, "{revisions} revisions for all of it");
    // That a revoked one was used is told by and by.
    let told = async || server.all_told().await.into_iter().filter(|told| told.kind != "key.suspicious").count();
    let again = told().await;
    server.settled().await;
    assert_eq!(told().await, again);
}

#[tokio::test]
async fn a_successors_successor_that_is_revoked_in_the_middle_of_an_overlap_changes_no_other_end() {
    let server = Server::start().await;
    let mut chain = vec![server.key().await];
    for _ in 0..2 {
        let last = chain.last().expect("a key").key.clone().expect("key");
        let rotate = pb::RotateKeyRequest {
            application_id: server.app.clone(),
            key_id: last.key_id.clone(),
            ..Default::default()
        };
        let rotated: pb::RotateKeyResponse =
            server.signed(&server.admin, "KeyService/RotateKey", &rotate).await.expect("rotated");
        chain.push(pb::CreateKeyResponse { key: rotated.key, secret: rotated.secret, revision: rotated.revision });
        server.pass(3600).await;
    }
    let verdicts = async || {
        let [a, b, c] = [&chain[0].secret, &chain[1].secret, &chain[2].secret];
        (server.verdict(a).await, server.verdict(b).await, server.verdict(c).await)
    };
    assert_eq!(verdicts().await, (Verdict::Valid, Verdict::Valid, Verdict::Valid));
    server.revoke(chain[2].key.as_ref().expect("key")).await;
    server.settled().await;
    assert_eq!(verdicts().await, (Verdict::Valid, Verdict::Valid, Verdict::Revoked));
    server.pass(46 * 3600).await;
    assert_eq!(verdicts().await, (Verdict::Revoked, Verdict::Valid, Verdict::Revoked));
    server.pass(3600).await;
    assert_eq!(verdicts().await, (Verdict::Revoked, Verdict::Revoked, Verdict::Revoked));
    for made in &chain {
        let told = server.told(made.key.as_ref().expect("key")).await;
        assert_eq!(told.iter().filter(|kind| *kind == "revoked").count(), 1, "{told:?}");
    }
    server.pass(10 * DAY).await;
    assert_eq!(verdicts().await, (Verdict::Revoked, Verdict::Revoked, Verdict::Revoked));
}

#[tokio::test]
async fn a_key_that_does_not_read_keeps_nobody_else_waiting() {
    let server = Server::start().await;
    let bad = server.key_with(|request| request.expiration = ttl(100)).await.key.expect("key");
    let good = server.key_with(|request| request.expiration = ttl(100)).await.key.expect("key");
    let rows = Rows::of(&server).await;
    let spoil = |word: &str| format!("UPDATE api_key SET key_type = '{word}' WHERE key_id = '{}'", bad.key_id);
    rows.change(&spoil("spoiled")).await;
    rows.change("INSERT INTO key_timer (key_id, due_time, expiry_told_time, rotation_told_time, unused_check_time) VALUES ('nonsense', 0, 0, 0, 0)").await;
    server.pass(100).await;
    assert_eq!(server.told(&good).await, ["created", "expired"]);
    assert_eq!(server.told(&bad).await, ["created"]);
    rows.change(&spoil("secret")).await;
    server.pass(3600).await;
    assert_eq!(server.told(&bad).await, ["created", "expired"], "tried again, an hour later");
}

#[tokio::test]
async fn a_rotation_that_fails_keeps_nobody_else_waiting() {
    let server = Server::start().await;
    let account = pb::ServiceAccount { name: "service".to_owned(), all_applications: true, ..Default::default() };
    let service = server.admin.hire(&server, 1, account).await;
    let period = Some(prost_types::Duration { seconds: DAYS, nanos: 0 });
    let rotating = server.key_with(|request| {
        (request.rotation_period, request.rotation_recipient_kid) = (period, service.kid());
        request.expiration = ttl(2 * DAYS);
    });
    let rotating = rotating.await.key.expect("key");
    let other = server.key_with(|request| request.expiration = ttl(DAYS)).await.key.expect("key");
    let rows = Rows::of(&server).await;
    rows.change(&format!("UPDATE service_account_key SET public_key_pem = '' WHERE kid = '{}'", service.kid())).await;
    server.pass(DAY).await;
    assert_eq!(server.told(&other).await, ["created", "expired"]);
    assert_eq!(server.get_key(&rotating.key_id).await.rotated_to, "");
    server.pass(DAY).await;
    let told = server.told(&rotating).await;
    assert_eq!(told.last().expect("told"), "expired", "and its own end comes all the same: {told:?}");
}

#[tokio::test]
async fn keys_of_before_there_were_timers_are_looked_after() {
    let server = Server::start().await;
    let expired = server.key_with(|request| request.expiration = ttl(100)).await;
    let near = server.key_with(|request| request.expiration = ttl(100 * DAYS)).await;
    let forever = server.key().await.key.expect("key");
    let mut before = 0;
    let server = server
        .restart_after(async |clock, data| {
            let rows = Rows::of(data).await;
            before = rows.number("SELECT seq FROM log_head").await;
            let all = Migrator::migrations();
            let at = all.iter().position(|it| it.name().ends_with("timers")).expect("this migration");
            let steps = u32::try_from(all.len() - at).expect("few");
            Migrator::down(rows.connection(), Some(steps)).await.expect("down");
            clock.advance(Duration::from_secs(80 * DAY));
            Migrator::up(rows.connection(), None).await.expect("up");
        })
        .await;
    server.settled().await;
    let (gone, near) = (expired.key.expect("key"), near.key.expect("key"));
    assert_eq!(server.told(&gone).await, ["created", "expired"]);
    assert_eq!(server.told(&near).await, ["created", "expiring expiry"]);
    assert_eq!(server.told(&forever).await, ["created"]);
    assert_eq!(server.rows().await.revision, before + 1, "one revision, of what had expired");
    server.pass(21 * DAY).await;
    let told = server.told(&near).await;
    assert_eq!(told.last().expect("told"), "expired");
}

#[tokio::test]
async fn what_is_due_while_the_database_is_away_is_done_when_it_is_back() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(100)).await;
    let key = made.key.expect("key");
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(100));
    // Longer than a job rests.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(server.told(&key).await, ["created"]);
    lock.release().await;
    server.pass(1).await;
    assert_eq!(server.told(&key).await, ["created", "expired"]);
    assert_eq!(server.verdict(&made.secret).await, Verdict::Expired);
}
