//! A client that does not read: late, or cut off with a reason; never lossy.

use std::time::Duration;

use portcullis::{
    pb::{self, watch_revocations_response::Item},
    watch::Limits,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{Server, Setup, SlowClient, SlowWatch, reason, watch::from};

fn patient_for(unread_for: Duration) -> Setup {
    let limits = Limits { unread_for, bookmark_every: Duration::from_millis(20), ..Limits::default() };
    Setup { limits, ..Setup::default() }
}

/// Makes one key worse again and again; answers the revisions that a watcher must hear of.
async fn toggle(server: &Server, key: &pb::Key, times: usize) -> Vec<i64> {
    let mut revisions = Vec::new();
    for _ in 0..times {
        for disabled in [true, false] {
            let wish = pb::Key {
                application_id: key.application_id.clone(),
                key_id: key.key_id.clone(),
                disabled,
                ..Default::default()
            };
            let update_mask = Some(prost_types::FieldMask { paths: vec!["disabled".to_owned()] });
            let request = pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: pb::RevokeWait::None.into() };
            let answer: pb::UpdateKeyResponse =
                server.signed(&server.admin, "KeyService/UpdateKey", &request).await.expect("update");
            if disabled {
                revisions.push(answer.revision);
            }
        }
    }
    revisions
}

/// Reads so many revocations, or all up to the end.
async fn read(watch: &mut SlowWatch, count: usize) -> (Vec<i64>, String, Option<tonic::Status>) {
    let (mut told, mut token) = (Vec::new(), String::new());
    for _ in 0..1000 {
        if told.len() == count {
            return (told, token, None);
        }
        match watch.next().await {
            Ok(item) => {
                token = item.resume_token;
                if let Some(Item::Revocation(revocation)) = item.item {
                    told.push(revocation.revision);
                }
            }
            Err(status) => return (told, token, Some(status)),
        }
    }
    panic!("1,000 items, and neither {count} revocations nor an end");
}

#[tokio::test]
async fn a_reader_that_is_slow_within_the_limit_is_late_and_misses_nothing() {
    let server = Server::start_with(patient_for(Duration::from_secs(60))).await;
    let key = server.key().await.key.expect("key");
    let mut slow = SlowClient::connect(&server, 1024).await.watch(&server, &server.admin, &from("")).await;
    let revisions = toggle(&server, &key, 40).await;
    let (told, _, end) = read(&mut slow, revisions.len()).await;
    assert_eq!((told, end.map(|status| status.code())), (revisions, None));
}

#[tokio::test]
async fn a_reader_that_is_slow_beyond_the_limit_is_cut_off_with_a_reason_and_may_resume() {
    let limit = Duration::from_millis(400);
    let server = Server::start_with(patient_for(limit)).await;
    let key = server.key().await.key.expect("key");
    let mut slow = SlowClient::connect(&server, 1024).await.watch(&server, &server.admin, &from("")).await;
    // Far more than the window holds, so the server waits for room by now; then the limit passes.
    let revisions = toggle(&server, &key, 30).await;
    tokio::time::sleep(3 * limit).await;
    let (told, token, end) = read(&mut slow, revisions.len() + 1).await;
    let status = end.expect("cut off");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SLOW_CONSUMER"));
    assert!(status.get_error_details().retry_info().is_some());
    assert!(told.len() < revisions.len(), "the limit was not reached");
    assert_eq!(told, revisions[..told.len()], "what it got is a part without a gap");
    let mut resumed = SlowClient::connect(&server, 65_535).await.watch(&server, &server.admin, &from(&token)).await;
    let (rest, _, end) = read(&mut resumed, revisions.len() - told.len()).await;
    assert_eq!((rest.as_slice(), end.map(|status| status.code())), (&revisions[told.len()..], None));
}

#[tokio::test]
async fn a_reader_that_is_slow_is_told_nothing_of_an_application_that_it_lost_meanwhile() {
    let server = Server::start_with(patient_for(Duration::from_secs(60))).await;
    let watcher = server.admin.hire_role(&server, 1, pb::Role::Watcher, &[]).await;
    let key = server.key().await.key.expect("key");
    let mut slow = SlowClient::connect(&server, 1024).await.watch(&server, &watcher, &from("")).await;
    let revisions = toggle(&server, &key, 60).await;
    let account = pb::ServiceAccount { service_account_id: watcher.account_id.clone(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["all_applications".to_owned()] });
    let request = pb::UpdateServiceAccountRequest { service_account: Some(account), update_mask, wait: 0 };
    let narrowed: pb::UpdateServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/UpdateServiceAccount", &request).await.expect("update");
    let mut told = 0;
    loop {
        match slow.next().await.expect("a living stream").item {
            Some(Item::Revocation(_)) => told += 1,
            Some(Item::Bookmark(bookmark)) if bookmark.revision >= narrowed.revision => break,
            _ => {}
        }
    }
    assert!(told < revisions.len() / 2, "only what was on its way: {told} of {}", revisions.len());
}
