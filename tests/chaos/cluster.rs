//! That the tools of the other tests do what they say.

use std::{path::PathBuf, process::Command, time::Duration};

use crate::postgres::{Backend, Cluster, Options, Sync};

/// Waits for what another process does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_database_begins_as_its_template_and_goes_with_the_test() {
    let cluster = Cluster::shared().await;
    let fill = async |url: &str| {
        assert!(url.starts_with("postgres://portcullis:"), "{url}");
        cluster
            .try_psql("filled", "CREATE TABLE told (x text); INSERT INTO told VALUES ('b'), ('B'), ('a')")
            .expect("filled");
    };
    let first = cluster.database_from_template("filled", fill).await;
    let second = cluster.database_from_template("filled", async |_| panic!("it is filled")).await;
    first.psql("DELETE FROM told");
    assert_eq!(second.psql("SELECT x FROM told ORDER BY x"), "a\nb\nB", "an order that is not C's");
    let empty = cluster.database().await;
    assert_eq!(empty.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    let name = first.name.clone();
    drop(first);
    let left = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    until("it is dropped", || cluster.psql(&left) == "0");
}

#[test]
fn a_commit_waits_for_its_standby_which_has_it_when_the_primary_dies() {
    let primary = Cluster::start(&Options::default());
    primary.psql("CREATE TABLE fact (x int)");
    let standby = primary.standby("second", Sync::Yes);
    primary.psql("INSERT INTO fact VALUES (1)");
    let sender = primary.pause_backend(Backend::WalSender).expect("a walsender");
    let told = primary.try_psql("postgres", "SET statement_timeout = '300ms'; SELECT count(*) FROM fact");
    assert_eq!(told.as_deref(), Ok("1"), "reads go on");
    let node = (*primary).clone();
    let commit = std::thread::spawn(move || node.try_psql("postgres", "INSERT INTO fact VALUES (2)"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!commit.is_finished(), "no standby has it");
    drop(sender);
    commit.join().expect("a thread").expect("and now it has");

    primary.kill9();
    standby.promote();
    assert_eq!(standby.psql("SELECT count(*) FROM fact"), "2");
    standby.set("synchronous_standby_names", "");
    let third = standby.standby("third", Sync::Yes);
    standby.psql("INSERT INTO fact VALUES (3)");
    third.until("SELECT 1 FROM fact WHERE x = 3");
}

#[test]
fn a_server_that_was_killed_or_paused_comes_back() {
    let primary = Cluster::start(&Options::default());
    primary.psql("CREATE TABLE fact (x int)");
    primary.kill9();
    assert!(primary.try_psql("postgres", "SELECT 1").is_err());
    primary.start();
    primary.psql("INSERT INTO fact VALUES (1)");
    let paused = primary.pause();
    let node = (*primary).clone();
    let asked = std::thread::spawn(move || node.psql("SELECT count(*) FROM fact"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!asked.is_finished());
    drop(paused);
    assert_eq!(asked.join().expect("a thread"), "1");
    primary.stop();
    primary.start();
    assert_eq!(primary.psql("SELECT count(*) FROM fact"), "1");
}

/// The other half of the next test, in a process of its own.
#[test]
fn a_cluster_that_is_left_behind() {
    if let Some(told) = std::env::var_os("PORTCULLIS_CHAOS_LEFT_BEHIND") {
        let primary = Cluster::start(&Options::default());
        let _standby = primary.standby("second", Sync::Yes);
        let _paused = primary.pause();
        std::fs::write(told, primary.data().display().to_string()).expect("told");
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn nothing_is_left_of_a_cluster_whose_test_was_killed() {
    let folder = tempfile::tempdir().expect("folder");
    let told = folder.path().join("told");
    let mut child = Command::new(std::env::current_exe().expect("this"))
        .args(["--exact", "cluster::a_cluster_that_is_left_behind"])
        .env("PORTCULLIS_CHAOS_LEFT_BEHIND", &told)
        .spawn()
        .expect("it starts");
    let data = || std::fs::read_to_string(&told).ok().filter(|data| !data.is_empty()).map(PathBuf::from);
    until("it has started", || data().is_some());
    let data = data().expect("a folder");
    let pid: u32 = {
        let file = std::fs::read_to_string(data.join("postmaster.pid")).expect("it runs");
        file.lines().next().expect("a line").parse().expect("a number")
    };
    child.kill().expect("kill -9");
    child.wait().expect("its end");
    until("its folder goes", || !data.parent().expect("a folder").exists());
    until("its server ends", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        status.map_or(true, |status| !status.contains("postgres") || status.contains("State:\tZ"))
    });
}
