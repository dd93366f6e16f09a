//! The overlap: that it ends when it should, and who may move its end.

use std::time::Duration;

use portcullis::pb::{self, KeyState, RevocationCause, RevokeReason, Verdict};
use tonic::Code;

use crate::{
    harness::{
        Server, Setup, WriteLock,
        rotate::{HOUR, Pair, rotation},
        times::seconds,
        verify::{about, ttl, update},
        watch::from,
    },
    kept::{let_cache, until_applied},
};

const UPDATE: &str = "KeyService/UpdateKey";
const END: &[&str] = &["overlap_end_time"];

/// A key whose overlap of an hour has begun, and its secret.
async fn overlapping(server: &Server) -> (String, Pair) {
    let made = server.key().await;
    let pair = server.rotate(&made.key.expect("key"), HOUR).await;
    (made.secret, pair)
}

fn ending(at: Option<prost_types::Timestamp>) -> pb::Key {
    pb::Key { overlap_end_time: at, ..Default::default() }
}

async fn listed(server: &Server, change: impl FnOnce(&mut pb::ListKeysRequest)) -> Vec<String> {
    let mut request = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    change(&mut request);
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &request).await.expect("list");
    listed.keys.into_iter().map(|key| key.key_id).collect()
}

/// By time alone: nobody can write the end down yet, and no clock takes it back.
#[tokio::test]
async fn the_old_key_is_never_valid_after_its_end_however_the_clock_steps() {
    let server = Server::start().await;
    let (old, pair) = overlapping(&server).await;
    server.advance(Duration::from_secs(3599)).await;
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_micros(999_999));
    assert_eq!(server.verdict(&old).await, Verdict::Valid, "to the last moment");
    server.setup.clock.advance(Duration::from_micros(1));
    assert_eq!(server.verdict(&old).await, Verdict::Revoked);
    server.setup.clock.step(-100_000_000);
    assert_eq!(server.verdict(&old).await, Verdict::Revoked, "the time of day was set back");
    lock.release().await;
    server.running().replica().sync_pass().await;
    assert_eq!(server.verdict(&old).await, Verdict::Revoked, "and the database's with it");
    server.setup.clock.step(200_000_000);
    server.advance(Duration::from_secs(1)).await;
    assert_eq!(server.verdict(&old).await, Verdict::Revoked);
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Valid);
}

#[tokio::test]
async fn what_a_verifier_may_keep_ends_with_the_overlap() {
    let server = Server::start().await;
    let_cache(&server, Duration::from_secs(8)).await;
    let (old, pair) = overlapping(&server).await;
    let kept = async |secret: &str| server.ask(&server.admin, &about(secret)).await.expect("verify").cache_ttl;
    assert_eq!([kept(&old).await, kept(&pair.secret).await], [seconds(8); 2]);
    server.advance(Duration::from_secs(3595)).await;
    assert_eq!([kept(&old).await, kept(&pair.secret).await], [seconds(5), seconds(8)]);
    server.advance(Duration::from_secs(4)).await;
    assert_eq!(kept(&old).await, seconds(1));
    server.advance(Duration::from_secs(1)).await;
    assert_eq!(kept(&old).await, None);
}

/// What a verifier keeps of the old key may be kept beyond the end that it gets.
#[tokio::test]
async fn a_rotation_waits_for_what_was_handed_out_of_the_old_key() {
    let server = std::sync::Arc::new(Server::start_with(Setup::brisk()).await);
    let_cache(&server, Duration::from_secs(2)).await;
    let made = server.key().await;
    let kept = server.ask(&server.admin, &about(&made.secret)).await.expect("verify");
    assert_eq!(kept.cache_ttl, seconds(2));
    let rotating = {
        let (server, key) = (std::sync::Arc::clone(&server), made.key.expect("key"));
        tokio::spawn(async move { server.rotate(&key, 0).await.revision })
    };
    tokio::pin!(rotating);
    until_applied(&server, &made.secret).await;
    let turns = Duration::from_millis(300);
    assert!(tokio::time::timeout(turns, &mut rotating).await.is_err(), "a verifier may still answer VALID");
    server.setup.clock.advance(Duration::from_millis(2_200));
    let told = tokio::time::timeout(Duration::from_secs(5), rotating).await.expect("then it is over");
    assert!(told.expect("task") > 0);
}

#[tokio::test]
async fn the_end_is_shown_as_a_revocation_from_its_moment_on() {
    let server = Server::start().await;
    let (_, pair) = overlapping(&server).await;
    let end = pair.old.overlap_end_time;
    server.advance(Duration::from_hours(1)).await;
    let old = server.get_key(&pair.old.key_id).await;
    assert_eq!((old.state(), old.revoke_reason()), (KeyState::Revoked, RevokeReason::Superseded));
    assert_eq!((old.revoke_time, old.revoke_comment.as_str()), (end, ""));
    assert_eq!(listed(&server, |_| {}).await, std::slice::from_ref(&pair.new.key_id));
    let mut all = listed(&server, |list| list.show_revoked = true).await;
    all.sort();
    let mut both = [pair.old.key_id.clone(), pair.new.key_id];
    both.sort();
    assert_eq!(all, both);
    server.advance(Duration::from_hours(24 * 91)).await;
    let unused = listed(&server, |list| (list.unused_only, list.show_revoked) = (true, true)).await;
    assert!(!unused.contains(&pair.old.key_id), "nothing is left to do with it");
    assert!(!server.get_key(&pair.old.key_id).await.unused);
}

#[tokio::test]
async fn who_revokes_a_key_whose_overlap_is_over_finds_its_end_and_changes_nothing_of_it() {
    let server = Server::start().await;
    let (_, pair) = overlapping(&server).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    server.advance(Duration::from_hours(2)).await;
    let request = pb::RevokeKeyRequest {
        application_id: server.app.clone(),
        key_id: pair.old.key_id.clone(),
        reason: RevokeReason::Leaked.into(),
        comment: "too late".to_owned(),
        etag: "whatever".to_owned(),
        ..Default::default()
    };
    for _ in 0..2 {
        let told: pb::RevokeKeyResponse =
            server.signed(&server.admin, "KeyService/RevokeKey", &request).await.expect("revoke");
        let old = told.key.expect("key");
        assert_eq!((old.revoke_reason(), old.revoke_comment.as_str()), (RevokeReason::Superseded, ""));
        assert_eq!(old.revoke_time, pair.old.overlap_end_time);
    }
    server.settled().await;
    let told = server.notices("key.revoked").await;
    assert_eq!(told.len(), 1, "once, whether a job or the call wrote it down");
    assert_eq!((&told[0]["reason"], &told[0]["comment"]), (&"superseded".into(), &"".into()));
    let (told, _) = watch.revocation().await;
    assert_eq!((&told.key_id, told.cause()), (&pair.old.key_id, RevocationCause::Rotated));
    let last = server.revoke(&pair.new).await;
    assert_eq!(watch.revocation().await.0.revision, last.revision, "and once");
    server.settled().await;
    let wish = pb::Key { name: "x".to_owned(), ..Default::default() };
    let refused = (Code::FailedPrecondition, "KEY_REVOKED");
    server.refuses(&server.admin, UPDATE, &update(&pair.old, &["name"], wish), refused.0, refused.1).await;
}

#[tokio::test]
async fn who_revokes_after_the_end_and_before_a_job_wrote_it_down_has_it_told() {
    let server = Server::start().await;
    let (_, pair) = overlapping(&server).await;
    server.advance(Duration::from_secs(3599)).await;
    server.settled().await;
    // Another has the job, and does nothing.
    let busy = uuid::Uuid::from_u128(3);
    let has = server.store().claim_job("jobs/keys", busy, Duration::from_secs(60)).await;
    assert!(has.expect("claim"), "nothing was due, so nobody has it");
    server.pass(2).await;
    assert_eq!(server.told(&pair.old).await, ["created", "rotated"]);
    server.revoke(&pair.old).await;
    assert_eq!(server.told(&pair.old).await, ["created", "rotated", "revoked"]);
    assert_eq!(server.notices("key.revoked").await[0]["reason"], "superseded");
    server.pass(61).await;
    assert_eq!(server.told(&pair.old).await, ["created", "rotated", "revoked"], "and once");
}

#[tokio::test]
async fn the_end_is_moved_earlier_and_later_but_not_to_what_is_past_or_beyond_the_expiry() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.expiration = ttl(1000 * 24 * HOUR)).await;
    let pair = server.rotate(&made.key.expect("key"), HOUR).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let earlier = server.update(&pair.old, END, ending(server.ahead(60))).await;
    let (told, _) = watch.revocation().await;
    assert_eq!((told.revision, told.cause()), (earlier.revision, RevocationCause::Narrowed));
    assert_eq!(earlier.key.expect("key").overlap_end_time, server.ahead(60));
    let later = server.update(&pair.old, &[], ending(server.ahead(2 * HOUR))).await.key.expect("key");
    assert_eq!(later.overlap_end_time, server.ahead(2 * HOUR), "without a mask too");
    server.pass(3600).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Valid);
    for wrong in [server.ahead(0), server.ahead(-1), server.ahead(365 * 24 * HOUR + 1), None] {
        server.refuses_fields(UPDATE, &update(&pair.old, END, ending(wrong)), &["key.overlap_end_time"]).await;
    }
    let short =
        server.update(&pair.old, &["expire_time"], pb::Key { expire_time: server.ahead(100), ..Default::default() });
    assert_eq!(short.await.key.expect("key").overlap_end_time, server.ahead(100), "an expiry takes it along");
    let capped = server.update(&pair.old, END, ending(server.ahead(200))).await.key.expect("key");
    assert_eq!(capped.overlap_end_time, server.ahead(100));
    server.pass(100).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
    let gone = update(&pair.old, END, ending(server.ahead(60)));
    server.refuses(&server.admin, UPDATE, &gone, Code::FailedPrecondition, "KEY_REVOKED").await;
}

#[tokio::test]
async fn a_key_without_a_successor_has_no_overlap_to_end() {
    let server = Server::start().await;
    let (_, pair) = overlapping(&server).await;
    for key in [&server.key().await.key.expect("key"), &pair.new] {
        let wish = update(key, END, ending(server.ahead(60)));
        server.refuses_fields(UPDATE, &wish, &["key.overlap_end_time"]).await;
    }
    // `*` names what every key has.
    let wish = pb::Key { name: "new".to_owned(), ..Default::default() };
    let old = server.update(&pair.old, &["*"], wish).await.key.expect("key");
    assert_eq!(old.overlap_end_time, pair.old.overlap_end_time);
}

#[tokio::test]
async fn who_may_not_grant_what_the_old_key_holds_does_not_prolong_it_either() {
    let server = Server::start().await;
    let (_, pair) = overlapping(&server).await;
    let poor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["users:read"]).await;
    let later = update(&pair.old, END, ending(server.ahead(2 * HOUR)));
    server.refuses(&poor, UPDATE, &later, Code::PermissionDenied, "GRANT_EXCEEDED").await;
    let earlier = update(&pair.old, END, ending(server.ahead(60)));
    let told: pb::UpdateKeyResponse = server.signed(&poor, UPDATE, &earlier).await.expect("earlier");
    assert_eq!(told.key.expect("key").overlap_end_time, server.ahead(60));
}

#[tokio::test]
async fn a_restart_forgets_neither_the_chain_nor_the_end() {
    let server = Server::start().await;
    let (old, pair) = overlapping(&server).await;
    let server = server.restart().await;
    let answer = server.try_verify(&old).await.expect("verify");
    assert_eq!((answer.verdict(), answer.superseded_by), (Verdict::Valid, pair.new.key_id.clone()));
    server.advance(Duration::from_hours(1)).await;
    assert_eq!(server.verdict(&old).await, Verdict::Revoked);
    let again = server.rotate_with(&rotation(&pair.new)).await;
    assert_eq!(again.new.rotated_from, pair.new.key_id);
    assert_eq!(server.verdict(&again.secret).await, Verdict::Valid);
}
