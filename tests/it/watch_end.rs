//! How long a watch lasts, and how it ends.

use std::time::Duration;

use portcullis::{
    pb::{self, watch_revocations_response::Item},
    watch::Limits,
};
use tokio::time::Instant;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{
    Persona, Server, Setup, WriteLock, reason, refusal,
    watch::{from, only},
};

fn with(limits: Limits) -> Setup {
    Setup { limits, ..Setup::default() }
}

fn bookmarks(items: &[Item]) -> usize {
    items.iter().filter(|item| matches!(item, Item::Bookmark(_))).count()
}

#[tokio::test]
async fn a_bookmark_comes_every_second_and_covers_all_that_was_told() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let mut told = watch.bookmark().await.0.revision;
    let begun = Instant::now();
    for _ in 0..3 {
        let key = server.key().await.key.expect("key");
        let revision = server.revoke(&key).await.revision;
        let (revocation, _) = watch.revocation().await;
        assert_eq!(revocation.revision, revision);
        told = told.max(revision);
        let (bookmark, _) = watch.bookmark().await;
        assert!(bookmark.revision >= told, "a bookmark is never behind what was told");
        assert!(bookmark.time.is_some());
    }
    // A busy machine wakes late; a second each and half of one for that.
    assert!(begun.elapsed() < Duration::from_millis(4500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn no_bookmark_after_the_lease_has_lapsed_and_the_stream_ends() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    watch.bookmark().await;
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(11));
    let (items, end) = tokio::time::timeout(Duration::from_secs(5), watch.rest()).await.expect("an end");
    // One may have been under way.
    assert!(bookmarks(&items) <= 1, "{items:?}");
    assert_eq!(refusal(end), (Code::Unavailable, "FRESHNESS_UNPROVEN".to_owned()));
    lock.release().await;
}

async fn update(server: &Server, account: pb::ServiceAccount, path: &str) {
    let update_mask = Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
    let request = pb::UpdateServiceAccountRequest { service_account: Some(account), update_mask, wait: 0 };
    let _: pb::UpdateServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/UpdateServiceAccount", &request).await.expect("update");
}

async fn take_away(server: &Server, persona: &Persona, what: &str) {
    let service_account_id = persona.account_id.clone();
    let account = pb::ServiceAccount { service_account_id: service_account_id.clone(), ..Default::default() };
    match what {
        "account" => {
            let request = pb::DisableServiceAccountRequest { service_account_id, ..Default::default() };
            let _: pb::DisableServiceAccountResponse = server
                .signed(&server.admin, "ServiceAccountService/DisableServiceAccount", &request)
                .await
                .expect("disable");
        }
        "key" => {
            let request =
                pb::RemoveServiceAccountKeyRequest { service_account_id, kid: persona.kid(), ..Default::default() };
            let _: pb::RemoveServiceAccountKeyResponse = server
                .signed(&server.admin, "ServiceAccountService/RemoveServiceAccountKey", &request)
                .await
                .expect("remove");
        }
        "role" => update(server, pb::ServiceAccount { roles: vec![pb::Role::Viewer.into()], ..account }, "roles").await,
        "scope" => update(server, account, "all_applications").await,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_stream_ends_at_once_with_its_account_its_key_its_role_or_its_application() {
    let server = Server::start().await;
    let endings = [
        ("account", Code::Unauthenticated, "SIGNATURE_INVALID"),
        ("key", Code::Unauthenticated, "SIGNATURE_INVALID"),
        ("role", Code::PermissionDenied, "ROLE_MISSING"),
        ("scope", Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE"),
    ];
    for (number, (what, code, why)) in endings.into_iter().enumerate() {
        let watcher = server.admin.hire_role(&server, number + 1, pb::Role::Watcher, &[]).await;
        let key = server.key().await.key.expect("key");
        let mut watch = server.watch(&watcher, &only(&server.app)).await.expect("watch");
        let first = watch.bookmark().await.0.revision;
        take_away(&server, &watcher, what).await;
        server.revoke(&key).await;
        let (items, end) = tokio::time::timeout(Duration::from_millis(900), watch.rest()).await.expect("at once");
        let status = end.expect_err("not a clean end");
        assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{what}");
        for item in items {
            assert!(matches!(&item, Item::Bookmark(b) if b.revision == first), "told after {what} went: {item:?}");
        }
        let again = server.watch(&watcher, &only(&server.app)).await.expect_err("nor may it come back");
        assert_eq!(again.code(), code, "{what}");
    }
}

#[tokio::test]
async fn an_old_stream_ends_well_behind_a_last_bookmark() {
    let limits = Limits { max_age: Duration::from_secs(3), ..Limits::default() };
    let server = Server::start_with(with(limits)).await;
    let key = server.key().await.key.expect("key");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let begun = Instant::now();
    let revision = server.revoke(&key).await.revision;
    let (items, end) = watch.rest().await;
    end.expect("a clean end");
    assert!(begun.elapsed() > Duration::from_millis(300));
    assert!(matches!(items.last(), Some(Item::Bookmark(last)) if last.revision >= revision), "{items:?}");
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams_behind_a_last_bookmark_and_leaves_in_time() {
    let server = Server::start().await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
        watch.bookmark().await;
        watches.push(watch);
    }
    let key = server.key().await.key.expect("key");
    let revision = server.revoke(&key).await.revision;
    let begun = Instant::now();
    server.stop();
    for mut watch in watches {
        let (items, end) = watch.rest().await;
        assert_eq!(items.iter().filter(|item| matches!(item, Item::Revocation(_))).count(), 1);
        assert!(matches!(items.last(), Some(Item::Bookmark(last)) if last.revision == revision), "{items:?}");
        let status = end.expect_err("told why");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
        assert!(status.get_error_details().retry_info().is_some());
    }
    server.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "before the drain is over: {:?}", begun.elapsed());
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let server = Server::start_with(with(Limits { max_streams: 2, ..Limits::default() })).await;
    let other = server.admin.hire_role(&server, 1, pb::Role::Watcher, &[]).await;
    let first = server.watch(&server.admin, &from("")).await.expect("watch");
    // Half of the places for an account, so that the other one still finds one.
    let status = server.watch(&server.admin, &from("")).await.expect_err("no place for this account");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    let _second = server.watch(&other, &from("")).await.expect("watch");
    let status = server.watch(&server.admin, &from("")).await.expect_err("no place");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(status.get_error_details().retry_info().is_some());
    drop(first);
    for _ in 0..100 {
        if server.watch(&server.admin, &from("")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the place of a watcher that left is never given away");
}
