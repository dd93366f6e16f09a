//! Backup and restore of a file.

mod archive_file;
mod archives;
mod owner;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use portcullis::{
    clock::Clock,
    pb,
    recovery::{self, Answer},
    store::{Backup, OpenError, Replaces, RestoreError, Store},
};
use tonic::Code;

use crate::harness::{Caller, Data, Deployment, Rows, Server, import::old_key, program::Ended, refusal, until};

/// `portcullis`, as an operator types it.
pub(super) fn portcullis(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null()).output().expect("it starts").into()
}

fn head_of(data: &Data) -> PathBuf {
    data.path().with_extension("db.head")
}

/// The number that is kept beside the file: the larger one of its two places.
fn kept_beside(data: &Data) -> i64 {
    let text = fs::read_to_string(head_of(data)).expect("the head number");
    let numbers = text.lines().map(|line| line.split(' ').nth(3).expect("a number").parse().expect("a number"));
    numbers.max().expect("two places")
}

/// As the command does it, when the server before has let go of the file.
async fn restore(clock: &Clock, data: &Data, from: &Path) {
    until("the lock is let go of", async || {
        match Store::restore(&data.database_url(), from, Replaces::OwnHistory, clock).await {
            Ok(_) => true,
            Err(RestoreError::Open(OpenError::InUse { .. })) => false,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
}

async fn confirm(clock: &Clock, data: &Data, answer: Answer) -> Result<recovery::Recovered, recovery::NotRecovered> {
    let store = Store::open(&data.database_url(), clock.clone(), portcullis::entropy::Entropy::system()).await;
    let store = store.expect("it opens");
    let done = recovery::confirm(&store, answer).await;
    store.close().await;
    done
}

#[tokio::test]
async fn a_restored_backup_answers_nothing_until_somebody_has_said_what_it_lost() {
    let server = Server::start().await;
    let made = server.key().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("backup.db");
    Backup::take(&server.data.database_url(), &file).await.expect("while it runs");
    server.revoke(made.key.as_ref().expect("key")).await;
    let server = server.restart_after(async |clock, data| restore(clock, data, &file).await).await;
    let unconfirmed = (Code::Unavailable, "RESTORE_UNCONFIRMED".to_owned());
    assert_eq!(refusal(server.try_verify(&made.secret).await), unconfirmed);
    let import = server.try_import(&server.admin, &server.import_of(vec![old_key(1)])).await;
    assert_eq!(refusal(import), unconfirmed, "what was revoked since may be among these");
    let server = server.restart().await;
    assert_eq!(refusal(server.try_verify(&made.secret).await), unconfirmed, "a restart is no answer");
}

#[tokio::test]
async fn a_file_that_is_copied_back_by_hand_answers_nothing() {
    let server = Server::start().await;
    let made = server.key().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("copy.db");
    let server = server.restart_after(async |_, data| {
        fs::copy(data.path(), &file).expect("a copy");
    });
    let server = server.await;
    server.revoke(made.key.as_ref().expect("key")).await;
    let server = server.restart_after(async |_, data| {
        fs::copy(&file, data.path()).expect("put back");
    });
    let server = server.await;
    let unconfirmed = (Code::Unavailable, "RESTORE_UNCONFIRMED".to_owned());
    assert_eq!(refusal(server.try_verify(&made.secret).await), unconfirmed);
}

#[tokio::test]
async fn the_number_beside_the_file_is_never_behind_what_was_acknowledged_nor_ahead_of_the_log() {
    let server = Server::start().await;
    let rows = Rows::of(&server).await;
    for _ in 0..5 {
        let made = server.key().await;
        assert!(kept_beside(&server.data) >= made.revision);
        let revoked = server.revoke(&made.key.expect("key")).await;
        assert!(kept_beside(&server.data) >= revoked.revision);
        assert!(kept_beside(&server.data) <= rows.number("SELECT seq FROM log_head").await);
    }
    assert_eq!(fs::metadata(head_of(&server.data)).expect("it").permissions().mode() & 0o777, 0o600);
    let server = server.restart().await;
    let made = server.key().await;
    assert!(kept_beside(&server.data) >= made.revision);
}

#[tokio::test]
async fn a_number_that_is_gone_or_spoilt_or_anothers_is_answered_for_and_one_that_never_was_is_made() {
    let server = Server::start().await;
    let made = server.key().await;
    let unconfirmed = "RESTORE_UNCONFIRMED";
    let server = server.restart_after(async |_, data| fs::remove_file(head_of(data)).expect("remove")).await;
    assert_eq!(refusal(server.try_verify(&made.secret).await).1, unconfirmed, "gone");
    let accept = || Answer { accept_loss: true, ..Answer::default() };
    let server =
        server.restart_after(async |clock, data| drop(confirm(clock, data, accept()).await.expect("confirmed"))).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    let server = server.restart_after(async |_, data| fs::write(head_of(data), "?").expect("write")).await;
    assert_eq!(refusal(server.try_verify(&made.secret).await).1, unconfirmed, "spoilt");
    let server =
        server.restart_after(async |clock, data| drop(confirm(clock, data, accept()).await.expect("confirmed"))).await;
    let other = Server::start().await;
    other.key().await;
    let server = server.restart_after(async |_, data| {
        fs::copy(head_of(&other.data), head_of(data)).expect("copy");
    });
    let server = server.await;
    assert_eq!(refusal(server.try_verify(&made.secret).await).1, unconfirmed, "another's");
    let server =
        server.restart_after(async |clock, data| drop(confirm(clock, data, accept()).await.expect("confirmed"))).await;

    // A database of a version that kept none.
    let server = server.restart_after(async |_, data| {
        fs::remove_file(head_of(data)).expect("remove");
        Rows::of(data).await.change("UPDATE log_head SET head_beside = false").await;
    });
    let server = server.await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    assert!(kept_beside(&server.data) >= made.revision);
}

/// What a caller of a server that runs hears about a key.
async fn refused(caller: &Caller, secret: &str) -> String {
    let subject = Some(pb::verify_key_request::Subject::Secret(secret.to_owned()));
    let request = pb::VerifyKeyRequest { subject, ..Default::default() };
    let answer = caller.call::<_, pb::VerifyKeyResponse>("KeyService/VerifyKey", &request).await;
    answer.expect_err("refused").to_string()
}

#[tokio::test]
async fn by_the_commands_a_backup_of_a_running_server_is_restored_and_confirmed_by_an_archive() {
    let deployment = Deployment::make().await;
    let url = format!("sqlite://{}", deployment.data.path().display());
    let at = |name: &str| deployment.folder.path().join(name).display().to_string();
    let (backup, archive) = (at("backup.db"), at("revocations.jsonl"));
    // Streams end all the time, and the watcher goes on.
    let mut process = deployment.serve(&["--watch-max-age", "1s"]);
    let caller = process.caller().await;
    let application = caller.application().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(caller.create(&application).await.expect("create"));
    }
    let key = |at: usize| made[at].key.clone().expect("key");
    caller.revoke(&key(0)).await.expect("revoke");
    let anew = portcullis(&["key", "watch", "--resume", "", "--endpoint", &process.endpoint]).refused(2);
    assert!(anew.contains("--resume"), "a token that could not be read begins no watch: {anew}");
    let watch = ["key", "watch", "--bookmarks", "--json", "--credentials", &at("admin.json")];
    let watch = [&watch[..], &["--endpoint", &process.endpoint]].concat();
    let mut watcher = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let watcher = watcher.args(watch).stdin(Stdio::null()).stdout(fs::File::create(&archive).expect("a file"));
    let mut watcher = watcher.spawn().expect("it starts");
    let archived = async |what: &str| {
        for _ in 0..600 {
            if fs::read_to_string(&archive).expect("the archive").contains(what) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never archived: {what}");
    };
    archived("bookmark").await;

    let said = portcullis(&["backup", "--database-url", &url, "--out", &backup]).good();
    assert!(
        said.starts_with(&format!("wrote {backup}: up to revision ")) && said.ends_with(" bytes, checked\n"),
        "{said}"
    );
    assert_eq!(fs::metadata(&backup).expect("it").permissions().mode() & 0o777, 0o600);
    let again = portcullis(&["backup", "--database-url", &url, "--out", &backup]).refused(2);
    assert!(again.contains("is there already, and a backup never overwrites"), "{again}");

    caller.revoke(&key(1)).await.expect("revoke");
    let last = caller.create(&application).await.expect("a key that the backup does not hold");
    let revoked = caller.revoke(&last.key.clone().expect("key")).await.expect("revoke");
    archived(&format!("\"revision\":\"{}\"", revoked.revision)).await;
    watcher.kill().expect("kill");
    watcher.wait().expect("its end");

    let restore = ["restore", "--database-url", &url, "--from", &backup];
    let running = portcullis(&restore).refused(1);
    assert!(running.contains("is in use by another portcullis; stop that one first"), "{running}");
    assert!(process.terminate().await.success());
    let said = portcullis(&restore).good();
    assert!(said.contains("; 3 are lost, up to "), "{said}");
    assert!(said.contains("run `portcullis confirm-restore`"), "{said}");
    let aside = said.lines().find_map(|line| line.strip_prefix("what was there before is ")).expect("aside");
    assert!(Path::new(aside).is_file());

    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    for made in &made {
        let said = refused(&caller, &made.secret).await;
        assert!(said.contains("its operator has not said yet which revocations it lost"), "{said}");
    }
    assert!(process.terminate().await.success());
    assert!(fs::read_to_string(deployment.log()).expect("the log").contains("portcullis confirm-restore"));

    let confirm = ["confirm-restore", "--database-url", &url];
    let nothing = portcullis(&confirm).refused(2);
    assert!(nothing.contains("--revocations FILE") && nothing.contains("--accept-loss"), "{nothing}");
    let whole = fs::read_to_string(&archive).expect("the archive");
    let cut: Vec<_> = whole.lines().take_while(|line| !line.contains("\"revocation\"")).collect();
    let short = at("short.jsonl");
    fs::write(&short, cut.join("\n")).expect("write");
    let gap = portcullis(&[&confirm[..], &["--revocations", &short]].concat()).refused(1);
    assert!(
        gap.contains("the archives do not hold revisions ") && gap.contains(&format!(" to {}", revoked.revision)),
        "{gap}"
    );
    let whole = [&confirm[..], &["--revocations", &archive]].concat();
    let accounts = portcullis(&whole).refused(2);
    assert!(accounts.contains("1 mutations since the backup were no revocations of keys"), "{accounts}");
    assert!(accounts.contains("say --accept-accounts") && accounts.contains(" (admin, 1 keys)"), "{accounts}");
    let said = portcullis(&[&whole[..], &["--accept-accounts"]].concat()).good();
    assert!(
        said.starts_with("confirmed: 1 keys revoked again, 0 disabled for somebody to look at, 1 not in the backup"),
        "{said}"
    );

    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    let mut verdicts = Vec::new();
    for secret in made.iter().map(|made| &made.secret).chain([&last.secret]) {
        verdicts.push(caller.verdict(secret).await);
    }
    use pb::Verdict as V;
    assert_eq!(verdicts, [V::Revoked, V::Revoked, V::Valid, V::NotFound]);
    assert!(process.terminate().await.success());
    Rows::of(&deployment).await.hang_together().await;
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored_and_nothing_is_touched() {
    let server = Server::start().await;
    server.key().await;
    let path = server.data.path();
    let url = server.data.database_url();
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let good = at("good.db");
    Backup::take(&url, &good).await.expect("backup");
    let running = Store::restore(&url, &good, Replaces::OwnHistory, &Clock::system()).await.expect_err("in use");
    assert!(matches!(running, RestoreError::Open(OpenError::InUse { .. })), "{running}");
    let data = std::sync::Arc::clone(&server.data);
    server.ended().await;

    fs::write(at("none.db"), "this is no database, whatever its name says").expect("write");
    fs::write(at("empty.db"), "").expect("write");
    let mut bytes = fs::read(&good).expect("bytes");
    let half = bytes.len() / 2;
    bytes[half..half + 4096].fill(0xff);
    fs::write(at("damaged.db"), &bytes).expect("write");
    fs::write(at("cut.db"), &bytes[..half]).expect("write");
    fs::copy(&good, at("used.db")).expect("copy");
    fs::write(at("used.db-wal"), "a log").expect("write");
    fs::copy(&good, at("newer.db")).expect("copy");
    let newer = Rows::of(at("newer.db").as_path()).await;
    newer.change("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
    drop(newer);
    let before = fs::read(&path).expect("the database");
    for (name, said) in [
        ("missing.db", "there is no backup at "),
        ("none.db", "not a database"),
        ("empty.db", "holds no history of portcullis"),
        ("damaged.db", "damaged.db"),
        ("cut.db", "cut.db"),
        ("used.db", "has a log beside it"),
        ("newer.db", "m29990101_000001_later"),
    ] {
        let mut refused = Store::restore(&data.database_url(), &at(name), Replaces::OwnHistory, &Clock::system()).await;
        while matches!(refused, Err(RestoreError::Open(OpenError::InUse { .. }))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            refused = Store::restore(&data.database_url(), &at(name), Replaces::OwnHistory, &Clock::system()).await;
        }
        let refused = refused.expect_err(name).to_string();
        assert!(refused.contains(said), "{name}: {refused}");
        assert_eq!(fs::read(&path).expect("the database"), before, "{name}");
    }
}
