//! `portcullis key watch --archive`: a file that outlives what kills its writer, and answers for a restore.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::portcullis;
use crate::harness::{
    Deployment,
    program::{Ended, Process},
};

fn watch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null());
    command
}

async fn archived(file: &str, what: &str) {
    for _ in 0..600 {
        // It is not there before it is made.
        if fs::read_to_string(file).unwrap_or_default().contains(what) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never archived: {what}");
}

fn revocation(revision: i64) -> String {
    format!("{{\"revocation\":{{\"revision\":\"{revision}\",")
}

/// What of an item is on the disk when the power goes.
const HALF: &str = "{\"revocation\":{\"rev";

fn append(file: &str, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(file).expect("an archive");
    file.write_all(text.as_bytes()).expect("written");
}

/// Its lines, each of which is whole; and it has no hole.
fn items(file: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(file).expect("an archive");
    assert!(text.is_empty() || text.ends_with("}\n"), "{text}");
    let items: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let begins = items.iter().filter(|item| item["bookmark"]["begins"] == true).count();
    assert!(begins <= 1, "it began anew: {text}");
    items
}

#[tokio::test]
async fn an_archive_whose_writer_is_killed_in_the_middle_of_a_line_goes_on_without_a_hole_and_answers_for_a_restore() {
    let deployment = Deployment::make().await;
    let url = format!("sqlite://{}", deployment.data.path().display());
    let at = |name: &str| deployment.folder.path().join(name).display().to_string();
    let (file, backup, credentials) = (at("revocations.jsonl"), at("backup.db"), at("archive.json"));
    // Streams end all the time, and the watcher goes on.
    let mut process = deployment.serve(&["--watch-max-age", "1s"]);
    let caller = process.caller().await;
    let endpoint = process.endpoint.clone();
    let create = ["account", "create", "--name", "archive", "--role", "watcher", "--all-apps", "--out", &credentials];
    portcullis(&[&create[..], &["--credentials", &at("admin.json"), "--endpoint", &endpoint]].concat()).good();
    let application = caller.application().await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        keys.push(caller.create(&application).await.expect("create").key.expect("key"));
    }
    let arguments = ["key", "watch", "--archive", &file, "--credentials", &credentials, "--endpoint", &endpoint];
    let watcher = Process::start(&mut watch(&arguments));
    archived(&file, "\"bookmark\"").await;
    assert_eq!(fs::metadata(&file).expect("it").permissions().mode() & 0o777, 0o600);
    let second = portcullis(&arguments).refused(1);
    assert!(second.contains("another `portcullis key watch --archive` keeps this file"), "{second}");
    portcullis(&["backup", "--database-url", &url, "--out", &backup]).good();
    archived(&file, &revocation(caller.revoke(&keys[0]).await.expect("revoke").revision)).await;
    watcher.signal("KILL");
    watcher.ended();
    let whole = fs::read_to_string(&file).expect("an archive");
    append(&file, HALF);

    let last = caller.revoke(&keys[1]).await.expect("nobody archives this now").revision;
    let watcher = Process::start(&mut watch(&arguments));
    archived(&file, &revocation(last)).await;
    watcher.signal("INT");
    let Ended { code, out, err } = watcher.ended();
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains(&format!("{} bytes are cut off", HALF.len())), "{err}");
    assert!(fs::read_to_string(&file).expect("an archive").starts_with(&whole), "what was whole stays");
    let items = items(&file);
    let told = items.iter().filter(|item| item["revocation"].is_object()).count();
    assert_eq!(told, 2, "each once");

    assert!(process.terminate().await.success());
    portcullis(&["restore", "--database-url", &url, "--from", &backup]).good();
    let whole = fs::read_to_string(&file).expect("an archive");
    // What `>>` made of a half line: the next item stands behind it.
    let spoilt = at("spoilt.jsonl");
    fs::write(&spoilt, whole.replacen("}\n", HALF, 1)).expect("write");
    let confirm = ["confirm-restore", "--database-url", &url, "--revocations"];
    let refused = portcullis(&[&confirm[..], &[&spoilt]].concat()).refused(2);
    assert!(refused.contains("spoilt.jsonl: line 1: "), "{refused}");
    append(&file, HALF);
    let done = portcullis(&[&confirm[..], &[&file]].concat());
    let left_out = format!("line {}, the last one, was not written to its end and is left out", items.len() + 1);
    assert!(done.err.contains(&left_out), "{}", done.err);
    let said = done.good();
    assert!(said.starts_with("confirmed: 2 keys revoked again, 0 disabled"), "{said}");

    // Another revocation has its last number now.
    let mut process = deployment.serve(&[]);
    process.caller().await;
    let forked = portcullis(&arguments).refused(1);
    assert!(forked.contains("\n  reason: HISTORY_FORKED\n"), "{forked}");
    assert!(
        forked.contains(&format!("{file} ends here: keep it for the backups of before, begin another one")),
        "{forked}"
    );
    assert_eq!(fs::read_to_string(&file).expect("an archive"), whole);
    assert!(process.terminate().await.success());
}

#[tokio::test]
async fn a_disk_that_is_full_ends_an_archive_with_a_whole_line_and_it_goes_on_when_there_is_room() {
    let deployment = Deployment::make().await;
    let at = |name: &str| deployment.folder.path().join(name).display().to_string();
    let (file, some) = (at("revocations.jsonl"), at("some.json"));
    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    let admin = ["--credentials", &at("admin.json"), "--endpoint", &process.endpoint];
    let arguments = [&["key", "watch", "--archive", &file][..], &admin].concat();
    let full = "trap '' XFSZ; exec prlimit --fsize=1000:unlimited -- \"$0\" \"$@\"";
    let mut limited = Command::new("sh");
    limited.args(["-c", full, env!("CARGO_BIN_EXE_portcullis")]).args(&arguments).stdin(Stdio::null());
    let said = Process::start(&mut limited).ended();
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("revocations.jsonl: cannot be written: File too large"), "{}", said.err);
    assert!(said.err.contains("it ends with a whole line"), "{}", said.err);
    let before = items(&file).len();
    assert!(before > 0);
    portcullis(&[&arguments[..], &["--max-messages", "2"]].concat()).good();
    assert_eq!(items(&file).len(), before + 2);

    // An account of one application would archive what answers for nothing.
    let application = caller.application().await;
    let create = ["account", "create", "--name", "some", "--role", "watcher", "--app", &application, "--out", &some];
    portcullis(&[&create[..], &admin].concat()).good();
    let other = at("other.jsonl");
    let of_some = ["key", "watch", "--archive", &other, "--credentials", &some, "--endpoint", &process.endpoint];
    let refused = portcullis(&of_some).refused(1);
    assert!(refused.contains("does not see every application") && refused.contains("--all-apps"), "{refused}");
    assert_eq!(items(&other).len(), 0);
    assert!(process.terminate().await.success());
}

#[test]
fn what_does_not_go_with_an_archive_is_refused_and_what_is_none_is_not_touched() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let archive = |file: &str, more: &[&str]| portcullis(&[&["key", "watch", "--archive", file], more].concat());
    let file = at("revocations.jsonl");
    for flags in [&["--json"][..], &["--bookmarks"], &["--resume", "token"], &["--app", "app_1"]] {
        let refused = archive(&file, flags).refused(2);
        assert!(refused.contains("--archive <FILE>") && refused.contains("cannot be used with"), "{refused}");
        assert!(refused.contains(flags[0]), "{refused}");
    }
    assert!(!Path::new(&file).exists());
    for text in ["{\"type\": \"service_account\"}", "{\"type\": \"service_account\"}\n", "a list\nof something"] {
        fs::write(&file, text).expect("write");
        let refused = archive(&file, &[]).refused(2);
        assert!(refused.contains("is not touched: name another file"), "{refused}");
        assert_eq!(fs::read_to_string(&file).expect("it"), text);
    }
    assert!(archive("/dev/null", &[]).refused(2).contains("an archive is a file"));
    assert!(archive(&at(""), &[]).refused(1).contains("directory"));
}
