//! Jobs in a process that is killed or stopped in the middle of them, and in the next one.

use std::time::{Duration, Instant};

use portcullis::pb;

use crate::harness::{Caller, Deployment, Rows, verify::ttl};

const DAYS: i64 = 24 * 3600;
const DAY_MICROS: i64 = DAYS * 1_000_000;
/// What is due was so before this, and nothing else ever is.
const LONG_AGO: u32 = 1_000_000;
/// Of each kind, for each attempt: six rounds in all.
const EACH: u128 = 200;

/// A key that expires, one that renews itself and one that is rotated by itself.
struct Templates([String; 3]);

async fn made(caller: &Caller, change: impl FnOnce(&mut pb::CreateKeyRequest)) -> pb::Key {
    let mut request = pb::CreateKeyRequest {
        name: "key".to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    };
    change(&mut request);
    let made: pb::CreateKeyResponse = caller.call("KeyService/CreateKey", &request).await.expect("create");
    made.key.expect("key")
}

impl Templates {
    async fn make(deployment: &Deployment) -> Self {
        let mut process = deployment.serve(&[]);
        let caller = process.caller().await;
        let application_id = &caller.application().await;
        let kids = Rows::of(&deployment).await.texts("SELECT kid FROM service_account_key").await;
        let lives = |days: i64, auto_renew: bool| {
            made(&caller, move |request| {
                (request.application_id, request.auto_renew) = (application_id.clone(), auto_renew);
                request.expiration = ttl(days * DAYS);
            })
        };
        let (expiring, renewing) = (lives(90, false).await, lives(90, true).await);
        let rotating = made(&caller, |request| {
            request.application_id.clone_from(application_id);
            request.rotation_period = Some(prost_types::Duration { seconds: DAYS, nanos: 0 });
            request.rotation_recipient_kid.clone_from(&kids[0]);
        });
        let this = Self([expiring.key_id, renewing.key_id, rotating.await.key_id]);
        drop(caller);
        assert!(process.terminate().await.success());
        this
    }

    /// Copies of each, of which everything is due at once, in any order.
    async fn pile_up(&self, rows: &Rows, attempt: u128) {
        let near = format!("expire_time = create_time + {DAY_MICROS}");
        let due = ["expire_time = create_time + 1", near.as_str(), "next_rotation_time = create_time + 1"];
        for ((template, due), kind) in self.0.iter().zip(due).zip(0..) {
            let first = (3 * attempt + kind) * EACH;
            let ids = rows.copy_key(template, first..first + EACH).await;
            rows.change(&format!("UPDATE api_key SET {due} WHERE key_id IN ({ids})")).await;
            let any = ids.split(", ").map(|id| format!("({id}, {})", rand::random::<u32>() % LONG_AGO));
            let any = any.collect::<Vec<_>>().join(", ");
            rows.change(&format!(
                "WITH at(id, due) AS (VALUES {any}) \
                 UPDATE key_timer SET due_time = (SELECT due FROM at WHERE id = key_id) WHERE key_id IN ({ids})"
            ))
            .await;
        }
    }
}

/// How many are due still.
async fn left(rows: &Rows) -> i64 {
    rows.number(&format!("SELECT count(*) FROM key_timer WHERE due_time < {LONG_AGO}")).await
}

/// How many are left once there are fewer.
async fn fewer_than(rows: &Rows, known: i64) -> i64 {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let left = left(rows).await;
        if left < known {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nothing is done");
}

/// What is done for a key is one transaction: what it is then, the event, what is told, and that
/// nothing is due any more. Killed wherever it is, it is whole or not there, and then done at the
/// next start.
#[tokio::test]
async fn a_kill_in_the_middle_of_expiries_renewals_and_rotations_loses_nothing_and_does_nothing_twice() {
    let deployment = Deployment::make().await;
    let templates = Templates::make(&deployment).await;
    let rows = Rows::of(&deployment).await;
    let mut attempts = 0;
    let mut kills = 0;
    while kills < 3 {
        if left(&rows).await == 0 {
            assert!(attempts < 10, "a kill comes too late each time");
            templates.pile_up(&rows, attempts).await;
            attempts += 1;
        }
        let before = left(&rows).await;
        let process = deployment.serve(&[]);
        fewer_than(&rows, before).await;
        process.kill();
        let after = left(&rows).await;
        println!("{before} were due, and {after} of them are after a kill");
        kills += i32::from(0 < after && after < before);
    }
    let mut process = deployment.serve(&[]);
    process.caller().await;
    let mut still = left(&rows).await;
    while still > 0 {
        still = fewer_than(&rows, still).await;
    }
    assert!(process.terminate().await.success());

    let all = i64::try_from(attempts * EACH).expect("few");
    let number = async |sql: &str| rows.number(&format!("SELECT count(*) FROM {sql}")).await;
    for kind in ["expired", "renewed", "rotated"] {
        let told = rows.texts(&format!("SELECT key_id FROM notice WHERE kind = 'key.{kind}' ORDER BY key_id")).await;
        let mut once = told.clone();
        once.dedup();
        assert_eq!((told.len(), once.len()), (told.len(), told.len()), "each key once: {kind}");
        assert_eq!(i64::try_from(told.len()), Ok(all), "and every one: {kind}");
    }
    assert_eq!(number("api_key WHERE expired").await, all);
    let once_more = format!("api_key WHERE auto_renew AND expire_time = create_time + {}", 91 * DAY_MICROS);
    assert_eq!(number(&once_more).await, all, "one lifetime, once");
    let pair = "api_key a JOIN api_key b ON a.rotated_to = b.key_id AND b.rotated_from = a.key_id";
    assert_eq!(number(pair).await, all);
    assert_eq!(number("api_key WHERE rotated_from IS NOT NULL").await, all, "one successor each");
    assert_eq!(number("sealed_secret WHERE ciphertext IS NOT NULL").await, all, "and its secret");
    rows.hang_together().await;
}

/// Stopped, a process lets go of its jobs; killed, it has them for two seconds more at most.
#[tokio::test]
async fn the_next_process_goes_on_with_the_jobs_at_once_after_a_stop_and_soon_after_a_kill() {
    let deployment = Deployment::make().await;
    let rows = Rows::of(&deployment).await;
    let expired = async |number: i64, patience: Duration| {
        let begun = Instant::now();
        while rows.number("SELECT count(*) FROM notice WHERE kind = 'key.expired'").await < number {
            assert!(begun.elapsed() < patience, "not told within {patience:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    let application = caller.application().await;
    let ending = async |caller: &Caller| {
        let soon = |request: &mut pb::CreateKeyRequest| {
            (request.application_id, request.expiration) = (application.clone(), ttl(1));
        };
        made(caller, soon).await
    };
    ending(&caller).await;
    expired(1, Duration::from_secs(10)).await;
    ending(&caller).await;
    drop(caller);
    assert!(process.terminate().await.success());
    assert_eq!(rows.number("SELECT count(*) FROM job_claim").await, 0, "it let go");

    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    expired(2, Duration::from_secs(5)).await;
    ending(&caller).await;
    expired(3, Duration::from_secs(10)).await;
    ending(&caller).await;
    process.kill();
    assert_eq!(rows.number("SELECT count(*) FROM job_claim WHERE job = 'jobs/keys'").await, 1, "a dead holder's");

    let mut process = deployment.serve(&[]);
    process.caller().await;
    expired(4, Duration::from_secs(5)).await;
    rows.are_whole().await;
    assert!(process.terminate().await.success());
}
