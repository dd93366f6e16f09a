//! Resuming: behind a token, without a gap or a repeat; or a clear no.

use std::time::Duration;

use portcullis::{
    domain::{
        event::Position,
        id::Revision,
        token::{FilterPrint, ResumeToken},
    },
    pb,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::{
    Headers, Rows, Server, Setup, message_bytes, reason, uuid, violations,
    watch::{from, only},
};

/// Revokes so many keys, and says in which revisions.
async fn revoke_some(server: &Server, count: usize) -> Vec<i64> {
    let mut revisions = Vec::new();
    for _ in 0..count {
        let key = server.key().await.key.expect("key");
        revisions.push(server.revoke(&key).await.revision);
    }
    revisions
}

async fn told_from(server: &Server, token: &str, head: i64) -> Vec<i64> {
    let mut watch = server.watch(&server.admin, &from(token)).await.expect("resume");
    watch.up_to(head).await.into_iter().map(|revocation| revocation.revision).collect()
}

async fn refused(server: &Server, request: pb::WatchRevocationsRequest) -> Status {
    server.watch(&server.admin, &request).await.expect_err("the token must be refused")
}

#[tokio::test]
async fn every_token_resumes_behind_its_item_also_after_a_restart_when_memory_holds_nothing() {
    let server = Server::start_with(Setup::with_quick_bookmarks()).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (start, token) = watch.bookmark().await;
    let mut tokens = vec![(start.revision, token)];
    let mut revisions = revoke_some(&server, 5).await;
    for expected in &revisions {
        let (revocation, token) = watch.revocation().await;
        assert_eq!(revocation.revision, *expected);
        tokens.push((revocation.revision, token));
    }
    drop(watch);
    let head = *revisions.last().expect("revoked");
    let behind = |revisions: &[i64], at: i64| revisions.iter().copied().filter(|r| *r > at).collect::<Vec<_>>();
    for (at, token) in &tokens {
        assert_eq!(told_from(&server, token, head).await, behind(&revisions, *at), "after a break");
    }
    // The ring begins empty: what is told now comes from the log, and then from memory.
    let server = server.restart().await;
    let (first, token) = &tokens[0];
    let mut resumed = server.watch(&server.admin, &from(token)).await.expect("resume");
    for (at, token) in &tokens {
        assert_eq!(told_from(&server, token, head).await, behind(&revisions, *at), "after a restart");
    }
    revisions.extend(revoke_some(&server, 2).await);
    let head = *revisions.last().expect("revoked");
    let told: Vec<_> = resumed.up_to(head).await.into_iter().map(|r| r.revision).collect();
    assert_eq!(told, behind(&revisions, *first));
}

#[tokio::test]
async fn a_token_that_is_not_one_of_this_watch_is_a_wrong_field() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (_, token) = watch.bookmark().await;
    let mut of_other_filter = only(&server.app);
    of_other_filter.resume_token.clone_from(&token);
    let flipped = |at: usize| {
        let other = if token.as_bytes()[at] == b'A' { 'B' } else { 'A' };
        format!("{}{other}{}", &token[..at], &token[at + 1..])
    };
    let mut junk: Vec<_> = (0..token.len() - 1).map(flipped).map(|text| from(&text)).collect();
    junk.extend(
        ["x", "\u{0}", "é", &token[1..], &token[..token.len() - 1], &token[..8], &"A".repeat(60_000)].map(from),
    );
    junk.push(from(&format!("{token}=")));
    junk.push(from(&format!(" {token}")));
    junk.push(of_other_filter);
    for request in junk {
        let status = refused(&server, request).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
        assert_eq!(violations(&status), ["resume_token"]);
    }
    assert!(server.watch(&server.admin, &from(&token)).await.is_ok(), "and the real one is good");
}

#[tokio::test]
async fn a_token_of_another_history_is_refused_as_forked() {
    let server = Server::start().await;
    let other = Server::start().await;
    revoke_some(&server, 1).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (head, token) = watch.bookmark().await;
    let none = FilterPrint::of(&[]);
    let mine = ResumeToken::parse(&token, none).expect("a token");
    let at = |revision: i64, event_id| {
        let position = Position { revision: Revision::new(revision), event_id };
        ResumeToken::new(mine.log_id, position, none).encode()
    };
    let forged_head = at(head.revision, Uuid::from_u128(1));
    let forged_past = at(head.revision - 1, Uuid::from_u128(1));
    let future = at(head.revision + 1, Uuid::from_u128(1));
    let far_future = at(i64::MAX, Uuid::nil());
    for (name, server, token) in [
        ("another database", &other, &token),
        ("another event at the head", &server, &forged_head),
        ("another event before it", &server, &forged_past),
        ("the future", &server, &future),
        ("the far future", &server, &far_future),
    ] {
        let status = refused(server, from(token)).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "HISTORY_FORKED"), "{name}");
    }
}

#[tokio::test]
async fn a_token_from_before_the_kept_history_is_told_where_history_begins() {
    let server = Server::start_with(Setup::with_quick_bookmarks()).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (_, old) = watch.bookmark().await;
    revoke_some(&server, 2).await;
    server.advance(Duration::from_hours(24 * 8)).await;
    let recent = revoke_some(&server, 2).await;
    let (_, first_token) = watch.revocation().await;
    let before = portcullis::domain::time::Timestamp::from_seconds(server.now().seconds() - 60);
    assert!(server.store().compact(before).await.expect("compact") > 0);
    // Memory still reaches back: nothing is lost to whoever can be served.
    let head = *recent.last().expect("revoked");
    assert_eq!(told_from(&server, &first_token, head).await.len(), 3);

    let server = server.restart().await;
    let oldest = Rows::of(&server).await.number("SELECT min(seq) FROM event_log").await;
    assert!(oldest > 1);
    for token in [&old, &first_token] {
        let status = refused(&server, from(token)).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"));
        let details = status.get_error_details();
        assert_eq!(details.error_info().expect("info").metadata["oldest_revision"], oldest.to_string());
    }
    let mut watch = server.watch(&server.admin, &from("")).await.expect("a watch from now");
    assert_eq!(watch.bookmark().await.0.revision, head);
}

/// The caller's clock is right; the machine's is not.
async fn create_by_the_servers_time(server: &Server) -> i64 {
    let request =
        pb::CreateKeyRequest { application_id: server.app.clone(), name: "key".to_owned(), ..Default::default() };
    let bytes = message_bytes(&request);
    let now = server.running().replica().now().seconds();
    let nonce = uuid().replace('-', "");
    let headers = Headers::sign(&server.admin, "/portcullis.v1.KeyService/CreateKey", &bytes, now, &nonce);
    server
        .with_headers::<pb::CreateKeyResponse>("KeyService/CreateKey", bytes, &headers)
        .await
        .expect("create")
        .revision
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_hole_in_the_log() {
    let server = Server::start_with(Setup::with_quick_bookmarks()).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let first = revoke_some(&server, 1).await;
    let (_, token) = watch.revocation().await;
    drop(watch);
    server.setup.clock.step(-10 * 24 * 3_600_000_000);
    let back = create_by_the_servers_time(&server).await;
    server.setup.clock.step(10 * 24 * 3_600_000_000);
    let head = revoke_some(&server, 1).await[0];
    assert!(first[0] < back && back < head);
    let before = portcullis::domain::time::Timestamp::from_seconds(server.now().seconds() - 3600);
    server.store().compact(before).await.expect("compact");
    let server = server.restart().await;
    assert_eq!(told_from(&server, &token, head).await, [head], "what is kept is kept without a hole");
}
