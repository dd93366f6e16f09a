//! Times of day that are stepped, forward and back: one promise a test. Leases go by another clock,
//! and all else by the database's time, which no replica lets go back.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use portcullis::{
    client::Headers,
    pb::{self, create_key_request::Expiration},
};
use prost::Message as _;
use tokio::task::block_in_place;

use crate::{
    caller::{self, reason},
    fleet::{Fleet, PATIENCE},
    postgres::{Cluster, Options, TimeOfDay},
    promises::never_valid,
    wish::{LEASE, Wish},
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Waits for what another process does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("never: {what}");
}

/// The time of day, and the clocks since boot with and without suspend, in seconds.
fn clocks() -> [f64; 3] {
    let of = |clock| {
        let time = rustix::time::clock_gettime(clock);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second")).as_secs_f64()
    };
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    [wall, of(rustix::time::ClockId::Boottime), of(rustix::time::ClockId::Monotonic)]
}

/// The other half of the next test, in a process of its own.
#[test]
fn what_a_program_sees() {
    let Some(told) = std::env::var_os("PORTCULLIS_CHAOS_TELL").map(PathBuf::from) else { return };
    let tell = |name: &str| {
        let text = clocks().map(|clock| clock.to_string()).join(" ");
        std::fs::write(told.join("part"), text).expect("told");
        std::fs::rename(told.join("part"), told.join(name)).expect("told");
    };
    tell("before");
    until("it is stepped", || told.join("stepped").exists());
    tell("after");
}

/// Or the tests below would test something else.
#[test]
fn a_step_is_of_the_time_of_day_alone_and_is_seen_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let time_of_day = TimeOfDay::at(&folder.path().join("time"));
    let mut command = Command::new(std::env::current_exe().expect("this"));
    command.args(["--exact", "clocks::what_a_program_sees"]).env("PORTCULLIS_CHAOS_TELL", folder.path());
    time_of_day.of(&mut command);
    let mut child = command.spawn().expect("it starts");
    let read = |name: &str| -> [f64; 3] {
        until(name, || folder.path().join(name).exists());
        let text = std::fs::read_to_string(folder.path().join(name)).expect("told");
        let now = clocks();
        let all: Vec<f64> = text.split(' ').map(|clock| clock.parse().expect("a number")).collect();
        [0, 1, 2].map(|n| all[n] - now[n])
    };
    let near = |[wall, boot, monotonic]: [f64; 3], ahead: f64| {
        let all = [wall - ahead, boot, monotonic];
        assert!(all.into_iter().all(|off| (-10.0..0.1).contains(&off)), "{all:?}");
    };
    near(read("before"), 0.0);
    time_of_day.step_to(-HOUR);
    std::fs::write(folder.path().join("stepped"), "").expect("a step");
    near(read("after"), -3600.0);
    assert!(child.wait().expect("its end").success());

    let cluster = Cluster::start(&Options { stepped: true, ..Options::default() });
    for ahead in [0, HOUR, -90, 0] {
        cluster.step_to(ahead);
        let told: f64 = cluster.psql("SELECT extract(epoch FROM clock_timestamp())").parse().expect("a number");
        near([told - clocks()[0], 0.0, 0.0], f64::from(i32::try_from(ahead).expect("small")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_time_of_day_is_stepped_answers_no_longer_than_its_lease() {
    let fleet = Fleet::start(&Wish::pair()).await;
    for ahead in [-3, -HOUR, HOUR] {
        let (key, secret) = fleet.key().await;
        fleet.knows(1, &secret).await;
        fleet.replicas[1].proxy.hold();
        fleet.replicas[1].time_of_day.step_to(ahead);
        fleet.revoke(0, &key).await.expect("revoke");
        for _ in 0..5 {
            never_valid(&fleet, 1, &secret).await;
            tokio::time::sleep(LEASE / 20).await;
        }
        fleet.heal();
        fleet.answers(1).await;
        assert_eq!(fleet.verdict(1, &secret).await.expect("verify"), pb::Verdict::Revoked, "{ahead} s");
    }
}

/// The writer's own, and all together.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_as_long_whatever_the_time_of_day_is_at_its_writer_and_at_the_database() {
    let fleet = Fleet::start(&Wish::pair()).await;
    // What a replica has heard of it does not let go back: the clients go by the latest.
    let mut latest = 0;
    for (database, replicas) in [(5, HOUR), (HOUR, HOUR), (-HOUR, 0)] {
        fleet.step_database_to(database).await;
        latest = latest.max(database);
        fleet.caller.step_to(latest);
        let (key, secret) = fleet.key().await;
        fleet.knows(1, &secret).await;
        fleet.replicas[1].proxy.hold();
        fleet.step_replicas_to(replicas);
        // And both the other way while it waits.
        let waits = async {
            tokio::time::sleep(LEASE / 8).await;
            fleet.step_primary_to(-database);
            fleet.step_replicas_to(-replicas);
        };
        let (revoked, ()) = tokio::join!(fleet.revoke(0, &key), waits);
        revoked.unwrap_or_else(|status| panic!("{database} s, {replicas} s: {status}"));
        never_valid(&fleet, 1, &secret).await;
        latest = latest.max(-database);
        fleet.caller.step_to(latest);
        fleet.heal();
        fleet.answers(1).await;
        assert_eq!(fleet.verdict(1, &secret).await.expect("verify"), pb::Verdict::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_stays_so_at_a_replica_that_begins_after_the_clock_was_set_back() {
    let fleet = Fleet::start(&Wish::pair()).await;
    let half = Duration::from_mins(30).try_into().expect("short");
    let request = pb::CreateKeyRequest {
        expiration: Some(Expiration::Ttl(half)),
        ..caller::create(&fleet.application, "half an hour")
    };
    let made: pb::CreateKeyResponse =
        fleet.clients[0].signed("KeyService/CreateKey", &request, PATIENCE).await.expect("create");
    fleet.step_database_to(HOUR).await;
    fleet.caller.step_to(HOUR);
    for at in 0..2 {
        assert_eq!(fleet.verdict(at, &made.secret).await.expect("verify"), pb::Verdict::Expired);
    }
    // It is told: within a second, and from then on it holds for everybody.
    let told = format!("SELECT 1 FROM log_head WHERE seq > {}", made.revision);
    until("it is written down", || block_in_place(|| fleet.psql(&told)) == "1");
    for ahead in [0, -HOUR] {
        fleet.step_database_to(ahead).await;
        block_in_place(|| fleet.replicas[1].kill());
        fleet.replicas[1].start();
        // Of those that began before, the time does not go back; whoever begins now has the database's.
        fleet.caller.step_to(ahead);
        fleet.answers(1).await;
        assert_eq!(fleet.verdict(1, &made.secret).await.expect("verify"), pb::Verdict::Expired, "{ahead} s");
        fleet.caller.step_to(HOUR);
        assert_eq!(fleet.verdict(0, &made.secret).await.expect("verify"), pb::Verdict::Expired, "{ahead} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_taken_is_taken_by_no_replica_however_the_clock_steps() {
    const METHOD: &str = "KeyService/CreateKey";
    let fleet = Fleet::start(&Wish::pair()).await;
    let message = caller::create(&fleet.application, "once").encode_to_vec();
    let headers = fleet.caller.sign(METHOD, &message);
    let send = async |at: usize, headers: &Headers| {
        let client = &fleet.clients[at];
        client.send::<pb::CreateKeyResponse>(METHOD, message.clone(), headers, PATIENCE).await
    };
    send(0, &headers).await.expect("the first");
    for ahead in [HOUR, -200, 0] {
        fleet.step_database_to(ahead).await;
        block_in_place(|| fleet.replicas[1].kill());
        fleet.replicas[1].start();
        fleet.caller.step_to(ahead);
        fleet.answers(1).await;
        for at in 0..2 {
            let status = send(at, &headers).await.expect_err("a replay");
            let why = reason(&status);
            assert!(["NONCE_REUSED", "TIMESTAMP_OUT_OF_WINDOW"].contains(&why.as_str()), "{why} at {at}, {ahead} s");
        }
    }
    assert_eq!(block_in_place(|| fleet.psql("SELECT count(*) FROM api_key WHERE name = 'once'")), "1");
    // What is new is taken: by whoever began when the clock was set right.
    let fresh = fleet.caller.sign(METHOD, &message);
    send(1, &fresh).await.expect("a call that is dated now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_spent_is_spent_when_the_clock_is_set_back_to_the_window_before() {
    const LIMIT: i64 = 20;
    let fleet = Fleet::start(&Wish { standby: None, ..Wish::pair() }).await;
    let day = Duration::from_hours(24).try_into().ok();
    let limit = pb::RateLimit { name: "day".to_owned(), limit: LIMIT, window: day };
    let request = pb::CreateKeyRequest { rate_limits: vec![limit], ..caller::create(&fleet.application, "limited") };
    let made: pb::CreateKeyResponse =
        fleet.clients[0].signed("KeyService/CreateKey", &request, PATIENCE).await.expect("create");
    let spend = async |at: usize| {
        let mut valid = 0;
        for _ in 0..2 * LIMIT {
            valid += i64::from(fleet.verdict(at, &made.secret).await.expect("verify") == pb::Verdict::Valid);
        }
        valid
    };
    let spent = spend(0).await + spend(1).await;
    assert!((1..=LIMIT).contains(&spent), "{spent} of {LIMIT}");
    for ahead in [-HOUR, -DAY] {
        fleet.step_database_to(ahead).await;
        // An end in order gives back what it has: that is spent below, and no more.
        block_in_place(|| fleet.replicas[1].kill());
        fleet.replicas[1].start();
        fleet.caller.step_to(ahead);
        fleet.answers(1).await;
        let more = spend(1).await;
        assert!(spent + more <= LIMIT, "{spent}, and {more} by a clock that is {ahead} s ahead, of {LIMIT}");
    }
}

/// The standby's machine has another time of day, and each replica heard the old one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_server_whose_clock_is_behind_or_ahead_takes_nothing_back() {
    for ahead in [-HOUR, HOUR] {
        let fleet = Fleet::start(&Wish::pair()).await;
        let (early, gone) = fleet.key().await;
        let (key, secret) = fleet.key().await;
        fleet.revoke(0, &early).await.expect("revoke");
        fleet.knows(1, &secret).await;
        let message = caller::create(&fleet.application, "once").encode_to_vec();
        let headers = fleet.caller.sign("KeyService/CreateKey", &message);
        let send = async |at: usize| {
            let client = &fleet.clients[at];
            client.send::<pb::CreateKeyResponse>("KeyService/CreateKey", message.clone(), &headers, PATIENCE).await
        };
        send(0).await.expect("the first");
        block_in_place(|| {
            fleet.standby().expect("a standby").step_to(ahead);
            fleet.primary().kill9();
            let new = fleet.promote();
            fleet.lead_to(&new);
        });
        // They do not go back, but ahead.
        fleet.caller.step_to(ahead.max(0));
        let begun = Instant::now();
        for at in 0..2 {
            fleet.answers(at).await;
        }
        println!("{ahead} s: they answer {:?} after the failover", begun.elapsed());
        fleet.replicas[1].proxy.hold();
        fleet.revoke(0, &key).await.expect("revoke");
        never_valid(&fleet, 1, &secret).await;
        fleet.heal();
        // One that has never heard of the old time.
        block_in_place(|| fleet.replicas[1].kill());
        fleet.replicas[1].start();
        fleet.caller.step_to(ahead);
        fleet.answers(1).await;
        for secret in [&gone, &secret] {
            assert_eq!(fleet.verdict(1, secret).await.expect("verify"), pb::Verdict::Revoked, "{ahead} s");
        }
        let again = send(1).await.expect_err("a replay");
        assert!(["NONCE_REUSED", "TIMESTAMP_OUT_OF_WINDOW"].contains(&reason(&again).as_str()), "{again}");
    }
}
