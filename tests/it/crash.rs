//! The real program, killed and stopped under load: what it acknowledged stays.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::pb;
use tokio::task::JoinSet;

use crate::harness::{Caller, Deployment, Dice, Rows};

/// What the callers know of one key.
#[derive(Debug, Clone)]
struct Known {
    secret: String,
    asked_to_revoke: bool,
    revoked: bool,
}

#[derive(Debug, Default)]
struct Acknowledged {
    keys: Mutex<Vec<Known>>,
    answers: AtomicUsize,
}

/// Creates keys and revokes every second one, until a call fails.
async fn load(caller: Arc<Caller>, application: String, known: Arc<Acknowledged>) {
    for round in 0.. {
        let Ok(made) = caller.create(&application).await else { return };
        let at = {
            let mut keys = known.keys.lock().expect("lock");
            keys.push(Known { secret: made.secret, asked_to_revoke: false, revoked: false });
            keys.len() - 1
        };
        known.answers.fetch_add(1, Ordering::SeqCst);
        if round % 2 == 0 {
            continue;
        }
        known.keys.lock().expect("lock")[at].asked_to_revoke = true;
        let Ok(_) = caller.revoke(&made.key.expect("key")).await else { return };
        known.keys.lock().expect("lock")[at].revoked = true;
        known.answers.fetch_add(1, Ordering::SeqCst);
    }
}

fn begin_load(caller: &Arc<Caller>, application: &str, known: &Arc<Acknowledged>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        tasks.spawn(load(Arc::clone(caller), application.to_owned(), Arc::clone(known)));
    }
    tasks
}

/// Waits until so many more calls were answered.
async fn answered(known: &Acknowledged, more: usize) {
    let until = known.answers.load(Ordering::SeqCst) + more;
    for _ in 0..2000 {
        if known.answers.load(Ordering::SeqCst) >= until {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the load stands still");
}

async fn check(caller: &Caller, known: &Acknowledged) {
    let keys = known.keys.lock().expect("lock").clone();
    for Known { secret, asked_to_revoke, revoked } in keys {
        let verdict = caller.verdict(&secret).await;
        let expected = match (asked_to_revoke, revoked) {
            (_, true) => verdict == pb::Verdict::Revoked,
            (true, false) => verdict == pb::Verdict::Revoked || verdict == pb::Verdict::Valid,
            (false, false) => verdict == pb::Verdict::Valid,
        };
        assert!(expected, "{verdict:?}, and asked to revoke: {asked_to_revoke}, acknowledged: {revoked}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it_and_nothing_is_half_done() {
    let mut dice = Dice::new();
    let deployment = Deployment::make().await;
    let known = Arc::new(Acknowledged::default());
    let mut application = String::new();
    for round in 0..8 {
        let mut process = deployment.serve(&[]);
        let caller = Arc::new(process.caller().await);
        if application.is_empty() {
            application = caller.application().await;
        }
        check(&caller, &known).await;
        let tasks = begin_load(&caller, &application, &known);
        answered(&known, 5).await;
        tokio::time::sleep(Duration::from_micros(dice.below(150_000))).await;
        println!("round {round}: killed after {} answers", known.answers.load(Ordering::SeqCst));
        process.kill();
        tasks.join_all().await;
    }
    let mut process = deployment.serve(&[]);
    check(&process.caller().await, &known).await;
    Rows::of(&deployment).await.are_whole().await;
    assert!(process.terminate().await.success());
}

#[tokio::test]
async fn a_stop_under_load_loses_no_acknowledged_call_and_ends_well() {
    let deployment = Deployment::make().await;
    let known = Arc::new(Acknowledged::default());
    let mut process = deployment.serve(&[]);
    let caller = Arc::new(process.caller().await);
    let application = caller.application().await;
    let tasks = begin_load(&caller, &application, &known);
    answered(&known, 30).await;
    let status = process.terminate().await;
    assert_eq!(status.code(), Some(0));
    tasks.join_all().await;
    Rows::of(&deployment).await.are_whole().await;
    let mut process = deployment.serve(&[]);
    check(&process.caller().await, &known).await;
}

/// One file, one process.
mod sqlite {
    use crate::harness::Deployment;

    #[tokio::test]
    async fn a_second_server_on_the_same_database_is_refused() {
        let deployment = Deployment::make().await;
        let mut process = deployment.serve(&[]);
        let caller = process.caller().await;
        let application = caller.application().await;
        let (status, said) = deployment.serve_beside().await;
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("is in use by another portcullis; stop that one first"), "{said}");
        caller.create(&application).await.expect("and the first goes on");
    }

    #[tokio::test]
    async fn after_a_stop_the_one_file_is_all_there_is() {
        let deployment = Deployment::make().await;
        let mut process = deployment.serve(&[]);
        process.caller().await.application().await;
        let log = deployment.data.path().with_extension("db-wal");
        let size = || std::fs::metadata(&log).map_or(0, |log| log.len());
        assert!(size() > 0, "while it runs");
        assert!(process.terminate().await.success());
        assert_eq!(size(), 0);
    }
}
