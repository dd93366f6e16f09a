//! What a copy that is not finished leaves on the disk, and what a backup takes the place of.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use portcullis::store::Store;

use super::sqlite::portcullis;
use crate::harness::{
    Data, Rows,
    postgres::signal,
    program::{Ended, Process, run},
};

/// A database that takes a moment to be copied: some 60 MB, with an index.
pub(super) async fn large() -> Data {
    let data = begun().await;
    let rows = Rows::of(&data).await;
    rows.change("CREATE TABLE filler (id INTEGER PRIMARY KEY, filling BLOB)").await;
    rows.change("CREATE INDEX filling ON filler (filling)").await;
    rows.change(
        "INSERT INTO filler WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) \
         SELECT i, randomblob(180) FROM n",
    )
    .await;
    data
}

/// With a history of its own.
async fn begun() -> Data {
    let (data, folder) = (Data::file(), tempfile::tempdir().expect("folder"));
    Store::migrate(&data.database_url()).await.expect("migrate");
    let out = folder.path().join("admin.json").display().to_string();
    portcullis(&["bootstrap", "--database-url", &url(&data), "--out", &out]).good();
    data
}

pub(super) fn url(data: &Data) -> String {
    format!("sqlite://{}", data.path().display())
}

/// What a backup that is not finished has there.
pub(super) fn partial(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    names.filter(|path| path.to_string_lossy().contains("/.portcullis-backup")).collect()
}

fn backup(data: &Data, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["backup", "--database-url", &url(data), "--out"]).arg(out).stdin(Stdio::null());
    command
}

/// Copies, and has begun to write: it has a file, and SQLite one beside it. What is `left` there is of others.
fn under_way(data: &Data, out: &Path, left: &[PathBuf]) -> Process {
    let folder = out.parent().expect("a folder");
    let process = Process::start(&mut backup(data, out));
    let deadline = Instant::now() + Duration::from_secs(60);
    while partial(folder).iter().filter(|path| !left.contains(path)).count() < 2 {
        assert!(Instant::now() < deadline && !out.exists(), "it was never seen to copy: {:?}", partial(folder));
    }
    process
}

#[tokio::test]
async fn sqlite_a_backup_that_is_interrupted_leaves_nothing_and_what_a_killed_one_left_the_next_one_takes_away() {
    let data = large().await;
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["TERM", "INT", "HUP"] {
        let process = under_way(&data, &at("interrupted.db"), &[]);
        process.signal(name);
        let said = process.ended().refused(1);
        assert_eq!(said, "error: interrupted, and nothing of the copy is left\n", "{name}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "{name}: {:?}", partial(folder.path()));
    }
    let killed = under_way(&data, &at("killed.db"), &[]);
    killed.signal("KILL");
    killed.ended();
    let left = partial(folder.path());
    assert_eq!(left.len(), 2, "the copy, and what SQLite keeps beside it");

    // One that goes on meanwhile is nobody's to take away, and takes away what was left before it.
    let goes_on = under_way(&data, &at("slow.db"), &left);
    signal("STOP", &[goes_on.id()]);
    let its = partial(folder.path());
    assert!(!its.is_empty() && left.iter().all(|left| !left.exists()), "{left:?}: {its:?}");
    run(&mut backup(&data, &at("other.db"))).good();
    assert_eq!(partial(folder.path()), its, "of another one that is not finished");
    signal("CONT", &[goes_on.id()]);
    let said = goes_on.ended().good();
    assert!(said.starts_with(&format!("wrote {}: ", at("slow.db").display())));
    assert_eq!(partial(folder.path()), [] as [PathBuf; 0]);
}

/// With files that may grow to so many bytes, which stands for a disk that is full.
fn on_a_full_disk(bytes: u64, arguments: &[&str]) -> Ended {
    let limited = format!("trap '' XFSZ; exec prlimit --fsize={bytes}:unlimited -- \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_portcullis")]).args(arguments).stdin(Stdio::null());
    run(&mut command)
}

#[tokio::test]
async fn sqlite_a_backup_without_room_says_which_file_had_none_and_a_restore_leaves_the_room_that_was_there() {
    let data = begun().await;
    let folder = tempfile::tempdir().expect("folder");
    let (out, database) = (folder.path().join("backup.db").display().to_string(), url(&data));
    let taking = ["backup", "--database-url", &database, "--out", &out];
    let said = on_a_full_disk(50_000, &taking).refused(1);
    assert!(said.starts_with(&format!("error: {out}: ")) && !said.contains(&database[9..]), "{said}");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
    portcullis(&taking).good();

    let before = fs::read(data.path()).expect("the database");
    let copied = fs::metadata(&out).expect("the backup").len();
    let restore = ["restore", "--database-url", &database, "--from", &out, "--accept-loss"];
    // While it is copied, and when that is done and what is there is brought up to date.
    for bytes in [50_000, copied] {
        on_a_full_disk(bytes, &restore).refused(1);
        let beside = fs::read_dir(data.path().parent().expect("a folder")).expect("the folder");
        let names: Vec<_> = beside.map(|entry| entry.expect("an entry").file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("restor")), "{bytes}: {names:?}");
        assert_eq!(fs::read(data.path()).expect("the database"), before, "{bytes}");
    }
    portcullis(&restore).good();
}

#[tokio::test]
async fn sqlite_a_backup_of_another_deployment_takes_no_database_s_place_unless_that_is_said() {
    let (data, other) = (begun().await, begun().await);
    let folder = tempfile::tempdir().expect("folder");
    let (out, database) = (folder.path().join("other.db").display().to_string(), url(&data));
    portcullis(&["backup", "--database-url", &url(&other), "--out", &out]).good();
    let ids = "SELECT lower(hex(log_id)) FROM log_head";
    let id = async |data: &Data| Rows::of(data).await.texts(ids).await.remove(0);
    let (there, of_the_backup) = (id(&data).await, id(&other).await);
    let before = fs::read(data.path()).expect("the database");

    let restore = ["restore", "--database-url", &database, "--from", &out];
    let said = portcullis(&restore).refused(2);
    assert!(said.contains("--replace-another-history"), "{said}");
    let plain = said.replace('-', "");
    assert!(plain.contains(&there) && plain.contains(&of_the_backup), "{said}: {there}, {of_the_backup}");
    assert_eq!(fs::read(data.path()).expect("the database"), before);

    let said = portcullis(&[&restore[..], &["--replace-another-history"]].concat()).good();
    assert!(said.contains("what was there before is "), "{said}");
    assert_eq!(id(&data).await, of_the_backup);
    // It has that history now, and where there is no database there is none to lose.
    portcullis(&restore).good();
    fs::remove_file(data.path()).expect("remove");
    portcullis(&restore).good();
}
