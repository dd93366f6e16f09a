//! What an archive answers for, and what it does not: the rest is asked of the operator.

use std::time::Duration;

use portcullis::{
    pb,
    recovery::{Answer, Archive},
    store::Backup,
};
use tonic::Code;

use super::{confirm, restore};
use crate::harness::{Rows, Server, reason, watch::from};

#[tokio::test]
async fn a_watcher_of_what_was_lost_is_told_that_the_history_forked() {
    let server = Server::start().await;
    let made = server.key().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("backup.db");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (_, held) = watch.bookmark().await;
    Backup::take(&server.data.database_url(), &file).await.expect("backup");
    server.revoke(made.key.as_ref().expect("key")).await;
    let (told, lost) = watch.revocation().await;
    drop(watch);
    let archive = serde_json::json!({"resume_token": lost, "revocation": {
        "revision": told.revision, "application_id": told.application_id, "key_id": told.key_id,
        "cause": told.cause().as_str_name(),
    }});
    let server = server.restart_after(async |_, data| {
        restore(data, &file).await;
        let archives = vec![Archive::read(&archive.to_string()).expect("an archive")];
        let done = confirm(data, Answer { archives, ..Answer::default() }).await.expect("it is all there");
        assert_eq!((done.revoked, done.disabled, done.unknown), (1, 0, 0));
    });
    let server = server.await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked, "before anything was answered");
    // Another revocation stands at its number now.
    let mut stream = server.watch(&server.admin, &from(&lost)).await;
    let refused = match &mut stream {
        Err(status) => status.clone(),
        Ok(watch) => watch.next().await.expect_err("refused"),
    };
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "HISTORY_FORKED"));
    let mut watch = server.watch(&server.admin, &from(&held)).await.expect("what both have is gone on from");
    let (again, _) = watch.revocation().await;
    assert_eq!((again.key_id, again.cause), (told.key_id, pb::RevocationCause::Revoked as i32));
    Rows::of(&server).await.hang_together().await;
}

/// A line of an archive.
fn line(told: &pb::Revocation, token: &str) -> String {
    let revocation = serde_json::json!({
        "revision": told.revision, "application_id": told.application_id, "key_id": told.key_id,
        "cause": told.cause().as_str_name(),
    });
    serde_json::json!({"resume_token": token, "revocation": revocation}).to_string()
}

#[tokio::test]
async fn an_archive_of_what_an_earlier_restore_gave_up_does_not_answer_for_a_later_one() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("folder");
    let [first, second] = ["first.db", "second.db"].map(|name| folder.path().join(name));
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    watch.bookmark().await;
    Backup::take(&server.data.database_url(), &first).await.expect("backup");
    let mut given_up = Vec::new();
    for _ in 0..5 {
        let key = server.key().await.key.expect("key");
        server.revoke(&key).await;
        let (told, token) = watch.revocation().await;
        given_up.push((told.revision, line(&told, &token)));
    }
    drop(watch);
    let server = server.restart_after(async |clock, data| {
        restore(data, &first).await;
        clock.advance(Duration::from_secs(60));
        confirm(data, Answer { accept_loss: true, ..Answer::default() }).await.expect("confirmed");
    });
    let server = server.await;
    let made = server.key().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    watch.bookmark().await;
    let holds = Backup::take(&server.data.database_url(), &second).await.expect("backup").revision.number();
    let revoked = server.revoke(&made.key.expect("key")).await.revision;
    let (told, token) = watch.revocation().await;
    drop(watch);
    assert!(given_up.iter().any(|(revision, _)| *revision > revoked), "its numbers go as far");

    let lines = |after: i64| -> String {
        let lines = given_up.iter().filter(|(revision, _)| *revision > after).map(|(_, line)| line.clone() + "\n");
        lines.collect()
    };
    // All that was told; and where it says nothing that the backup would hold.
    let archives = [lines(0), lines(holds)];
    let server = server.restart_after(async |_, data| {
        restore(data, &second).await;
        for archive in archives {
            let archives = vec![Archive::read(&archive).expect("an archive")];
            let refused = confirm(data, Answer { archives, accept_accounts: true, ..Answer::default() }).await;
            let said = refused.expect_err("of another branch").to_string();
            assert!(said.contains("an earlier restore gave it up"), "{said}");
        }
        let archives = vec![Archive::read(&line(&told, &token)).expect("an archive")];
        let done = confirm(data, Answer { archives, ..Answer::default() }).await.expect("its own");
        assert_eq!((done.revoked, done.accounts), (1, false));
    });
    let server = server.await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    // The first backup once more: one file with both branches, of which only the first has every number.
    let server = server.restart_after(async |_, data| {
        restore(data, &first).await;
        let archives = vec![Archive::read(&(lines(0) + &line(&told, &token))).expect("an archive")];
        let refused = confirm(data, Answer { archives, accept_accounts: true, ..Answer::default() }).await;
        let said = refused.expect_err("the first branch was given up").to_string();
        assert!(said.contains("an earlier restore gave it up"), "{said}");
    });
    drop(server.await);
}

#[tokio::test]
async fn an_account_that_a_backup_brings_back_is_shown_and_taken_by_name_only() {
    let server = Server::start().await;
    let gone = server.admin.hire_role(&server, 1, pb::Role::Editor, &[]).await;
    let made = server.key().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("backup.db");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (bookmark, mark) = watch.bookmark().await;
    Backup::take(&server.data.database_url(), &file).await.expect("backup");
    let disable =
        pb::DisableServiceAccountRequest { service_account_id: gone.account_id.clone(), ..Default::default() };
    let _: pb::DisableServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/DisableServiceAccount", &disable).await.expect("disable");
    server.revoke(&made.key.expect("key")).await;
    let (told, token) = watch.revocation().await;
    drop(watch);
    let begins = serde_json::json!({"resume_token": mark, "bookmark": {
        "revision": bookmark.revision, "begins": true, "all_applications": true,
    }});
    let archive = format!("{begins}\n{}\n", line(&told, &token));
    let server = server.restart_after(async |_, data| {
        restore(data, &file).await;
        let answer = |accept_accounts| {
            let archives = vec![Archive::read(&archive).expect("an archive")];
            Answer { archives, accept_accounts, ..Answer::default() }
        };
        let shown = confirm(data, answer(false)).await.expect_err("an account may be back").to_string();
        assert!(shown.contains("1 mutations since the backup") && shown.contains(&gone.account_id), "{shown}");
        assert!(shown.contains("--accept-accounts"), "{shown}");
        let done = confirm(data, answer(true)).await.expect("confirmed");
        assert_eq!((done.revoked, done.accounts), (1, true));
    });
    let server = server.await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    let rows = Rows::of(&server).await;
    let noted =
        rows.texts("SELECT after FROM audit_event WHERE method LIKE '%confirm-restore%' AND after IS NOT NULL").await;
    assert!(noted.concat().contains("\"accept_accounts\":true"), "{noted:?}");
}
