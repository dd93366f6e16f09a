//! What goes wrong around a server: each with a clear message, and a state that it comes back from.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis::{
    pb,
    store::{DatabaseUrl, OpenError, Store},
};

use super::sqlite::portcullis;
use crate::harness::{Data, Deployment, Rows, program::Ended, until};

#[tokio::test]
async fn sqlite_a_migration_that_fails_leaves_nothing_half_way() {
    let data = Data::file();
    let rows = Rows::begin(&data).await;
    rows.change("CREATE TABLE alert (id bigint)").await;
    let url = DatabaseUrl::sqlite(data.path());
    let error = Store::migrate(&url).await.expect_err("a table of that name is there");
    assert!(matches!(error, OpenError::Migration(_)), "{error}");
    assert!(error.to_string().contains("nothing of it was applied") && error.to_string().contains("alert"), "{error}");
    let tables = rows.texts("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'seaql_migrations'").await;
    assert_eq!(tables, ["alert"], "of seven migrations before it nothing is left");
    rows.change("DROP TABLE alert").await;
    assert!(Store::migrate(&url).await.expect("all of them") > 8);
}

#[tokio::test]
async fn sqlite_a_file_that_may_only_be_read_is_said_to_be() {
    let deployment = Deployment::make().await;
    let path = deployment.data.path();
    fs::set_permissions(path.parent().expect("a folder"), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("its mode");
    let before = fs::read(&path).expect("the database");
    let url = format!("sqlite://{}", path.display());
    // Root may write whatever the mode says.
    let by_another = |arguments: &[&str]| -> Ended {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_portcullis")]);
        match command.args(arguments).args(["--database-url", &url]).stdin(Stdio::null()).output() {
            Ok(output) => output.into(),
            Err(error) => panic!("setpriv of util-linux: {error}"),
        }
    };
    let ended = by_another(&["serve", "--listen=127.0.0.1:0", "--log=error"]);
    assert_eq!(
        ended.refused(1),
        format!(
            "error: {} is read-only here, and a server writes: check its owner, its mode and how it is mounted\n",
            path.display()
        )
    );
    assert_eq!(fs::read(&path).expect("the database"), before);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    let said = by_another(&["check"]);
    assert!(said.code == Some(2) && said.out.contains("Permission denied"), "{said:?}");
}

/// A limit to the size of files stands for a disk that is full: what is written beyond it fails, and the rest is as
/// it was.
#[tokio::test]
async fn sqlite_with_a_full_disk_nothing_that_was_acknowledged_is_lost_and_it_goes_on_when_there_is_room() {
    let deployment = Deployment::make().await;
    let url = format!("sqlite://{}", deployment.data.path().display());
    let size = fs::metadata(deployment.data.path()).expect("the database").len();
    let limited = format!("trap '' XFSZ; exec prlimit --fsize={}:unlimited -- \"$0\" \"$@\"", size + 600_000);
    let mut process = deployment.serve_by(&["sh", "-c", &limited], &[]);
    let caller = process.caller().await;
    let application = caller.application().await;
    let mut made = Vec::new();
    let refused = loop {
        match caller.create(&application).await {
            Ok(key) => made.push(key),
            Err(error) => break error.to_string(),
        }
        assert!(made.len() < 500, "the disk is never full");
    };
    assert!(!made.is_empty(), "{refused}");
    let mut verdict = String::new();
    for _ in 0..200 {
        let subject = Some(pb::verify_key_request::Subject::Secret(made[0].secret.clone()));
        let request = pb::VerifyKeyRequest { subject, ..Default::default() };
        match caller.call::<_, pb::VerifyKeyResponse>("KeyService/VerifyKey", &request).await {
            // By the lease, for as long as it lasts.
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => {
                verdict = error.to_string();
                break;
            }
        }
    }
    assert!(verdict.contains("cannot prove that it is fresh"), "{verdict}");
    let check = portcullis(&["check", "--database-url", &url]);
    assert!(check.out.contains("MiB are free"), "{}", check.out);

    let room = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &process.id().to_string()]).status();
    assert!(room.expect("prlimit").success());
    let mut goes_on = false;
    for _ in 0..200 {
        goes_on = caller.create(&application).await.map(|key| made.push(key)).is_ok();
        if goes_on {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(goes_on, "it never goes on");
    for key in &made {
        assert_eq!(caller.verdict(&key.secret).await, pb::Verdict::Valid, "what was acknowledged");
    }
    assert!(process.terminate().await.success());
    Rows::of(&deployment).await.are_whole().await;
}

#[tokio::test]
async fn sigterm_under_load_ends_an_open_stream_with_a_bookmark_and_up_to_it_nothing_is_missing() {
    let deployment = Deployment::make().await;
    let mut process = deployment.serve(&[]);
    let caller = Arc::new(process.caller().await);
    let application = caller.application().await;
    let path = deployment.folder.path().join("watched");
    let mut watcher = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let credentials = deployment.folder.path().join("admin.json").display().to_string();
    watcher.args([
        "call",
        "KeyService/WatchRevocations",
        "--credentials",
        &credentials,
        "--endpoint",
        &process.endpoint,
    ]);
    let out = File::create(&path).expect("a file");
    let mut watcher = watcher.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn().expect("it starts");
    let watched = || fs::read_to_string(&path).expect("what it was told");
    until("the stream begins with a bookmark", async || watched().contains("bookmark")).await;
    let mut load = tokio::task::JoinSet::new();
    let ends = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let (caller, application, ends) = (Arc::clone(&caller), application.clone(), Arc::clone(&ends));
        load.spawn(async move {
            let mut revoked = Vec::new();
            loop {
                let made_and_revoked = async {
                    let made = caller.create(&application).await?;
                    caller.revoke(&made.key.expect("key")).await
                };
                match made_and_revoked.await {
                    Ok(answer) => revoked.push(answer.revision),
                    Err(_) if ends.load(Ordering::Acquire) => return revoked,
                    // On a busy machine a lease may lapse.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
    }
    until("20 revocations are told", async || watched().matches("\"revocation\"").count() >= 20).await;
    ends.store(true, Ordering::Release);
    assert_eq!(process.terminate().await.code(), Some(0));
    let acknowledged: Vec<i64> = load.join_all().await.into_iter().flatten().collect();
    until("the stream ends", async || watcher.try_wait().expect("wait").is_some()).await;
    let lines: Vec<serde_json::Value> =
        watched().lines().map(|line| serde_json::from_str(line).expect("whole lines")).collect();
    let revision = |value: &serde_json::Value| value["revision"].as_str().and_then(|text| text.parse::<i64>().ok());
    let told: Vec<_> = lines.iter().filter_map(|line| revision(&line["revocation"])).collect();
    let last = lines.last().and_then(|line| revision(&line["bookmark"])).expect("the last one is a bookmark");
    assert!(acknowledged.len() >= 10, "{acknowledged:?}");
    // What is answered while the server drains may be behind it, and is told to whoever resumes there.
    for revision in acknowledged.into_iter().filter(|revision| *revision <= last) {
        assert!(told.contains(&revision), "{revision} of {told:?}, up to {last}");
    }
}
