//! Standbys, as an operator meets them: one that is taken for the primary, and commits that wait for one in vain.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::sqlite::portcullis;
use crate::harness::{
    has_postgres,
    postgres::{Cluster, Options, Sync},
    program::{Process, free_port},
};

const NONE_IS_THERE: &str = "none of the names in synchronous_standby_names is connected";

/// A server of its own with a database that can be served from, and where that is.
pub(super) fn primary() -> Option<(Cluster, String)> {
    if !has_postgres() {
        return None;
    }
    let primary = Cluster::start(&Options::default());
    primary.create_named("keys");
    let url = primary.url("keys");
    portcullis(&["migrate", "--database-url", &url]).good();
    let folder = tempfile::tempdir().expect("folder");
    let out = folder.path().join("admin.json").display().to_string();
    portcullis(&["bootstrap", "--database-url", &url, "--out", &out]).good();
    Some((primary, url))
}

/// What stands in this line of the table, and what to do about it.
pub(super) fn line(table: &str, level: &str, of: &str) -> (String, String) {
    let mut lines = table.lines();
    let is_it = |line: &&str| line.split_whitespace().take(2).eq([level, of]);
    let said = lines.find(is_it).unwrap_or_else(|| panic!("{level} {of}: {table}"));
    (said.to_owned(), lines.next().unwrap_or_default().trim().to_owned())
}

#[test]
fn postgres_a_standby_is_said_to_be_one_by_whatever_is_asked_to_write_there() {
    let Some((primary, _)) = primary() else { return };
    let standby = primary.standby("second", Sync::No);
    let url = standby.url("keys");
    let checked = portcullis(&["check", "--database-url", &url]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    let (said, advice) = line(&checked.out, "fail", "database");
    assert!(said.ends_with("this is a standby, and read-only") && said.matches("/keys").count() == 1, "{said}");
    assert_eq!(advice, "→ give the primary's address");
    for arguments in [
        &["migrate"][..],
        &["bootstrap", "--out", "/nowhere/admin.json"],
        &["serve", "--listen=127.0.0.1:0", "--log=off"],
        &["confirm-restore", "--accept-loss"],
    ] {
        let refused = portcullis(&[arguments, &["--database-url", &url]].concat()).refused(1);
        assert!(refused.ends_with("this is a standby, and read-only; give the primary's address\n"), "{refused}");
    }
    standby.promote();
    assert_eq!(portcullis(&["migrate", "--database-url", &url]).good(), "there is nothing to migrate\n");
}

/// Asks until the answer holds these words.
pub(super) fn readiness(port: u16, words: &str) {
    answered(port, "readyz", |answer| answer.contains(words));
}

/// Asks until the answer is one of these.
pub(super) fn answered(port: u16, path: &str, is_it: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    loop {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let request = format!("GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            // One that is ending may cut it off.
            let asked = stream.write_all(request.as_bytes());
            let _ = asked.and_then(|()| stream.read_to_string(&mut answer));
        }
        if is_it(&answer) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn postgres_what_keeps_every_sync_from_its_end_is_named_where_readiness_is_asked() {
    let Some((primary, url)) = primary() else { return };
    primary.try_psql("keys", "GRANT pg_read_all_stats TO portcullis").expect("granted");
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let admin = format!("127.0.0.1:{port}");
    command.args(["serve", "--database-url", &url, "--lease=2s", "--listen=127.0.0.1:0", "--admin-listen", &admin]);
    let server = Process::start(command.stdin(Stdio::null()));
    readiness(port, "\r\n\r\nready\n");
    primary.set("fsync", "off");
    readiness(
        port,
        "the lease has lapsed: no answer rests on a database that may lose what it acknowledges: fsync is off",
    );
    primary.set("fsync", "on");
    readiness(port, "\r\n\r\nready\n");

    primary.set("synchronous_standby_names", "ANY 1 (a, b)");
    readiness(port, &format!("the lease has lapsed: the database commits nothing: {NONE_IS_THERE}"));
    let beside = url.clone();
    let beside = thread::spawn(move || {
        portcullis(&["serve", "--database-url", &beside, "--lease=2s", "--listen=127.0.0.1:0", "--log=off"])
    });
    // One of another name streams, and is waited for by nobody.
    let _standby = primary.standby("second", Sync::No);
    let checked = portcullis(&["check", "--database-url", &url]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    let (said, advice) = line(&checked.out, "fail", "durability");
    assert!(said.ends_with(NONE_IS_THERE), "{said}");
    assert_eq!(advice, "→ look at application_name in the standbys' primary_conninfo");
    let begun_in_vain = beside.join().expect("a thread").refused(1);
    assert!(begun_in_vain.contains(NONE_IS_THERE), "{begun_in_vain}");

    primary.set("synchronous_standby_names", "second");
    readiness(port, "\r\n\r\nready\n");
    let (level, advice) = {
        let checked = portcullis(&["check", "--database-url", &url]);
        (checked.code, checked.out)
    };
    assert_eq!(level, Some(1), "it hangs on one: {advice}");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.err.matches(NONE_IS_THERE).count(), 1, "said once: {}", ended.err);
}
