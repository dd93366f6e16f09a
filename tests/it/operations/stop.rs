//! A stop that no database holds up: whoever gives a process its time to end counts on it.

use std::{
    fs,
    time::{Duration, Instant},
};

use portcullis::pb;

use crate::harness::{
    Deployment, Process, WriteLock, has_postgres,
    postgres::{Cluster, Options},
};

const DRAIN: [&str; 2] = ["--drain", "1s"];
/// The drain, and five seconds behind it; and what a debug build on a busy machine takes.
const ENDS: Duration = Duration::from_secs(1 + 5 + 3);

/// Calls that are counted while the database takes nothing, and then the stop.
async fn ends_in_time(deployment: &Deployment, mut process: Process, hang: impl AsyncFnOnce()) {
    let caller = process.caller().await;
    let application = caller.application().await;
    let made = caller.create(&application).await.expect("create");
    hang().await;
    for _ in 0..3 {
        assert_eq!(caller.verdict(&made.secret).await, pb::Verdict::Valid, "within its lease");
    }
    let told = Instant::now();
    let status = process.terminate().await;
    let took = told.elapsed();
    let log = fs::read_to_string(deployment.log()).expect("the log");
    assert!(took < ENDS, "{took:?}: {log}");
    assert!(status.success(), "{status}: {log}");
    let said: Vec<_> = log.lines().filter(|line| line.contains("comes behind the drain")).collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains("uncounted=3") && said[0].contains("usage"), "{said:?}");
}

#[tokio::test]
async fn postgres_a_server_that_stands_still_holds_up_no_stop_and_the_calls_that_go_uncounted_are_said() {
    if !has_postgres() {
        return;
    }
    let cluster = Cluster::start(&Options::default());
    let deployment = Deployment::make_in(&cluster).await;
    let process = deployment.serve(&DRAIN);
    let mut paused = None;
    ends_in_time(&deployment, process, async || paused = Some(cluster.pause())).await;
    drop(paused);
}

#[tokio::test]
async fn a_database_that_takes_no_write_holds_up_no_stop_and_the_calls_that_go_uncounted_are_said() {
    let deployment = Deployment::make().await;
    let process = deployment.serve(&DRAIN);
    let mut lock = None;
    ends_in_time(&deployment, process, async || lock = Some(WriteLock::take(&deployment).await)).await;
    lock.expect("taken").release().await;
}
