//! What an archive answers for, and what it does not: the rest is asked of the operator.

use std::time::Duration;

use portcullis::{
    entropy::Entropy,
    pb,
    recovery::{Answer, Archive},
    store::{Backup, Store},
};
use tonic::Code;

use super::{confirm, restore};
use crate::harness::{Rows, Server, reason, watch::from};

fn read(text: &str) -> Archive {
    Archive::read(text.as_bytes()).expect("an archive")
}

/// The first line of an archive.
fn begin(bookmark: &pb::Bookmark, token: &str) -> String {
    let bookmark = serde_json::json!({"revision": bookmark.revision, "begins": true, "all_applications": true});
    serde_json::json!({"resume_token": token, "bookmark": bookmark}).to_string() + "\n"
}

/// A line of an archive.
fn line(told: &pb::Revocation, token: &str) -> String {
    let revocation = serde_json::json!({
        "revision": told.revision, "application_id": told.application_id, "key_id": told.key_id,
        "cause": told.cause().as_str_name(),
    });
    serde_json::json!({"resume_token": token, "revocation": revocation}).to_string() + "\n"
}

#[tokio::test]
async fn a_watcher_of_what_was_lost_is_told_that_the_history_forked() {
    let server = Server::start().await;
    let made = server.key().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("backup.db");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (bookmark, held) = watch.bookmark().await;
    Backup::take(&server.data.database_url(), &file).await.expect("backup");
    server.revoke(made.key.as_ref().expect("key")).await;
    let (told, lost) = watch.revocation().await;
    drop(watch);
    let archive = begin(&bookmark, &held) + &line(&told, &lost);
    let server = server.restart_after(async |clock, data| {
        restore(clock, data, &file).await;
        let archives = vec![read(&archive)];
        let done = confirm(clock, data, Answer { archives, ..Answer::default() }).await.expect("it is all there");
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

#[tokio::test]
async fn an_archive_of_what_an_earlier_restore_gave_up_does_not_answer_for_a_later_one() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("folder");
    let [first, second] = ["first.db", "second.db"].map(|name| folder.path().join(name));
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (bookmark, held) = watch.bookmark().await;
    Backup::take(&server.data.database_url(), &first).await.expect("backup");
    let mut given_up = vec![(bookmark.revision, begin(&bookmark, &held))];
    for _ in 0..5 {
        let key = server.key().await.key.expect("key");
        server.revoke(&key).await;
        let (told, token) = watch.revocation().await;
        given_up.push((told.revision, line(&told, &token)));
    }
    drop(watch);
    let server = server.restart_after(async |clock, data| {
        restore(clock, data, &first).await;
        clock.advance(Duration::from_secs(60));
        confirm(clock, data, Answer { accept_loss: true, ..Answer::default() }).await.expect("confirmed");
    });
    let server = server.await;
    let made = server.key().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (bookmark, held) = watch.bookmark().await;
    let holds = Backup::take(&server.data.database_url(), &second).await.expect("backup").revision.number();
    let revoked = server.revoke(&made.key.expect("key")).await.revision;
    let (told, token) = watch.revocation().await;
    let own = begin(&bookmark, &held) + &line(&told, &token);
    drop(watch);
    assert!(given_up.iter().any(|(revision, _)| *revision > revoked), "its numbers go as far");

    let lines = |after: i64| -> String {
        let lines = given_up.iter().filter(|(revision, _)| *revision > after).map(|(_, line)| line.clone());
        lines.collect()
    };
    // All that was told; and where it says nothing that the backup would hold.
    let archives = [lines(0), lines(holds)];
    let server = server.restart_after(async |clock, data| {
        restore(clock, data, &second).await;
        for archive in archives {
            let archives = vec![read(&archive)];
            let refused = confirm(clock, data, Answer { archives, accept_accounts: true, ..Answer::default() }).await;
            let said = refused.expect_err("of another branch").to_string();
            assert!(said.contains("an earlier restore gave it up"), "{said}");
        }
        let archives = vec![read(&own)];
        let done = confirm(clock, data, Answer { archives, ..Answer::default() }).await.expect("its own");
        assert_eq!((done.revoked, done.accounts), (1, None));
    });
    let server = server.await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    // The first backup once more: one file with both branches, of which only the first has every number.
    let server = server.restart_after(async |clock, data| {
        restore(clock, data, &first).await;
        let archives = vec![read(&(lines(0) + &own))];
        let refused = confirm(clock, data, Answer { archives, accept_accounts: true, ..Answer::default() }).await;
        let said = refused.expect_err("the first branch was given up").to_string();
        assert!(said.contains("an earlier restore gave it up"), "{said}");
    });
    drop(server.await);
}

/// No event of the backup, and none of the archive, was written after the restore that gave the branch up.
#[tokio::test]
async fn an_archive_of_what_the_last_restore_of_the_same_backup_gave_up_does_not_answer_for_it() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("backup.db");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (bookmark, held) = watch.bookmark().await;
    let made = server.key().await;
    Backup::take(&server.data.database_url(), &file).await.expect("backup");
    let mut given_up = begin(&bookmark, &held);
    for _ in 0..4 {
        let key = server.key().await.key.expect("key");
        server.revoke(&key).await;
        let (told, token) = watch.revocation().await;
        given_up += &line(&told, &token);
    }
    drop(watch);
    let server = server.restart_after(async |clock, data| {
        clock.advance(Duration::from_secs(60));
        restore(clock, data, &file).await;
        confirm(clock, data, Answer { accept_loss: true, ..Answer::default() }).await.expect("confirmed");
    });
    // What is noted outlives starts of the server.
    let server = server.await.restart().await;
    let mut watch = server.watch(&server.admin, &from(&held)).await.expect("both branches have its place");
    server.revoke(&made.key.expect("key")).await;
    let (told, token) = watch.revocation().await;
    drop(watch);
    let own = begin(&bookmark, &held) + &line(&told, &token);
    let server = server.restart_after(async |clock, data| {
        clock.advance(Duration::from_secs(60));
        restore(clock, data, &file).await;
        let answer = |archive: &str| {
            let archives = vec![read(archive)];
            Answer { archives, accept_accounts: true, ..Answer::default() }
        };
        for cut_off in [false, true] {
            if cut_off {
                // Behind what it notes, and before the mark is taken away.
                let store =
                    Store::open(&data.database_url(), clock.clone(), Entropy::system()).await.expect("it opens");
                store.lower_head().await.expect("noted");
                store.close().await;
            }
            let refused = confirm(clock, data, answer(&given_up)).await.expect_err("of another branch").to_string();
            assert!(refused.contains("an earlier restore gave it up"), "{refused}");
        }
        let done = confirm(clock, data, answer(&own)).await.expect("its own");
        assert_eq!(done.revoked, 1);
    });
    assert_eq!(server.await.verdict(&made.secret).await, pb::Verdict::Revoked);
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
    let archive = begin(&bookmark, &mark) + &line(&told, &token);
    let server = server.restart_after(async |clock, data| {
        restore(clock, data, &file).await;
        let answer = |accept_accounts| {
            let archives = vec![read(&archive)];
            Answer { archives, accept_accounts, ..Answer::default() }
        };
        let shown = confirm(clock, data, answer(false)).await.expect_err("an account may be back").to_string();
        assert!(shown.contains("1 mutations since the backup") && shown.contains(&gone.account_id), "{shown}");
        assert!(shown.contains("--accept-accounts"), "{shown}");
        let done = confirm(clock, data, answer(true)).await.expect("confirmed");
        assert_eq!(done.revoked, 1);
        let accounts = done.accounts.expect("they are to be looked at");
        assert!(accounts.contains(&gone.account_id), "{accounts}");
    });
    let server = server.await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    let rows = Rows::of(&server).await;
    let noted =
        rows.texts("SELECT after FROM audit_event WHERE method LIKE '%confirm-restore%' AND after IS NOT NULL").await;
    assert!(noted.concat().contains("\"accept_accounts\":true"), "{noted:?}");
}
