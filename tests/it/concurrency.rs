//! Many callers at once, callers that go away, and callers in a hurry.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis::{
    domain::id::Revision,
    pb::{self, key_service_client::KeyServiceClient},
};
use prost::Message as _;
use tokio::{task::JoinSet, time::Instant};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Dice, Headers, Persona, Rows, Server, Setup, WriteLock, reason, refusal, test_key, until, uuid};

fn revoke_request(key: &pb::Key, wait: pb::RevokeWait) -> pb::RevokeKeyRequest {
    pb::RevokeKeyRequest {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        wait: wait.into(),
        ..Default::default()
    }
}

fn create_request(server: &Server) -> pb::CreateKeyRequest {
    pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "key".to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    }
}

/// A revocation by a caller that waits so long, and how long its answer took.
async fn hurried(server: &Server, key: &pb::Key, timeout: &str) -> (Result<pb::RevokeKeyResponse, Status>, Duration) {
    let bytes = revoke_request(key, pb::RevokeWait::Everywhere).encode_to_vec();
    let path = "/portcullis.v1.KeyService/RevokeKey";
    let nonce = uuid().replace('-', "");
    let headers = Headers::sign(&server.admin, path, &bytes, server.now().seconds(), &nonce);
    let begun = Instant::now();
    let answer = server.with_headers("KeyService/RevokeKey", bytes, &headers.set("grpc-timeout", timeout)).await;
    (answer, begun.elapsed())
}

/// Lets the loop turn until the call is answered; afterwards it stands still again.
pub(crate) async fn while_ringing<T>(server: &Server, call: impl Future<Output = T>) -> T {
    tokio::pin!(call);
    for _ in 0..300 {
        tokio::select! {
            answer = &mut call => {
                server.at_rest().await;
                return answer;
            }
            _ = tokio::time::timeout(Duration::from_millis(30), server.running().replica().sync_pass()) => {}
        }
    }
    panic!("no answer");
}

#[tokio::test]
async fn two_revokes_at_once_both_succeed_and_one_of_them_did_it() {
    let server = Server::start().await;
    for _ in 0..5 {
        let key = server.key().await.key.expect("key");
        let (one, two) = tokio::join!(server.revoke(&key), server.revoke(&key));
        assert_eq!(one.revision, two.revision);
        assert_eq!(one.key, two.key);
    }
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn a_revoke_and_an_update_at_once_end_revoked() {
    let server = Server::start().await;
    for round in 0..8 {
        let made = server.key().await;
        let key = made.key.expect("key");
        let wish = pb::Key { name: format!("renamed {round}"), ..key.clone() };
        let wish = pb::Key { etag: String::new(), ..wish };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
        let request = pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: 0 };
        let update = server.signed::<_, pb::UpdateKeyResponse>(&server.admin, "KeyService/UpdateKey", &request);
        let (revoked, updated) = tokio::join!(server.revoke(&key), update);
        match updated {
            Ok(updated) => assert!(updated.revision < revoked.revision, "it came first"),
            refused => assert_eq!(refusal(refused), (Code::FailedPrecondition, "KEY_REVOKED".to_owned())),
        }
        assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    }
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn creates_of_many_callers_at_once_are_dense_and_all_verify() {
    let server = Arc::new(Server::start().await);
    let mut callers = vec![server.admin.clone()];
    for number in 1..4 {
        callers.push(server.admin.hire_role(&server, number, pb::Role::Editor, &["tasks:read"]).await);
    }
    let first = Rows::of(&server).await.number("SELECT seq FROM log_head").await + 1;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let (server, caller): (_, Persona) = (Arc::clone(&server), callers[task % callers.len()].clone());
        tasks.spawn(async move {
            let mut made = Vec::new();
            for _ in 0..25 {
                let request = create_request(&server);
                let created: pb::CreateKeyResponse =
                    server.signed(&caller, "KeyService/CreateKey", &request).await.expect("create");
                assert_eq!(server.verdict(&created.secret).await, pb::Verdict::Valid);
                made.push(created);
            }
            made
        });
    }
    let made: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let revisions: BTreeSet<_> = made.iter().map(|created| created.revision).collect();
    assert_eq!(revisions, (first..first + 200).collect());
    for created in &made {
        assert_eq!(server.verdict(&created.secret).await, pb::Verdict::Valid);
    }
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_half_done_and_the_next_call_works() {
    let server = Server::start().await;
    let mut dice = Dice::new();
    for _ in 0..25 {
        let kept = server.key().await;
        let key = kept.key.expect("key");
        let patience = Duration::from_micros(dice.below(12_000));
        let create = create_request(&server);
        let create = server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &create);
        let _ = tokio::time::timeout(patience, create).await;
        let patience = Duration::from_micros(dice.below(12_000));
        let request = revoke_request(&key, pb::RevokeWait::Everywhere);
        let revoke = server.signed::<_, pb::RevokeKeyResponse>(&server.admin, "KeyService/RevokeKey", &request);
        let gone = tokio::time::timeout(patience, revoke).await.is_err();
        let verdict = server.verdict(&kept.secret).await;
        assert!(verdict == pb::Verdict::Revoked || gone && verdict == pb::Verdict::Valid, "{verdict:?}");
        server.revoke(&key).await;
        assert_eq!(server.verdict(&kept.secret).await, pb::Verdict::Revoked);
    }
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn a_hurried_caller_hears_in_time_what_is_not_confirmed_and_a_repeat_waits_again() {
    let server = Server::start_with(Setup::held()).await;
    let made = while_ringing(&server, server.key()).await;
    let key = made.key.expect("key");
    let (answer, took) = hurried(&server, &key, "1500m").await;
    let status = answer.expect_err("nobody can have confirmed it");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "COMMITTED_NOT_CONFIRMED"));
    assert!(took < Duration::from_millis(1500), "before the caller's own deadline: {took:?}");
    assert!(status.get_error_details().retry_info().is_some());
    let revision = status.get_error_details().error_info().expect("info").metadata["revision"].clone();
    assert_eq!(revision, (made.revision + 1).to_string(), "it says which revision it is");
    let (again, _) = hurried(&server, &key, "1500m").await;
    assert_eq!(refusal(again), (Code::Unavailable, "COMMITTED_NOT_CONFIRMED".to_owned()), "a repeat waits too");
    let again = while_ringing(&server, server.revoke(&key)).await;
    assert_eq!(again.revision.to_string(), revision);
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn a_hurried_caller_hears_in_time_that_a_stuck_write_may_yet_be_done() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key");
    let lock = WriteLock::take(&server).await;
    let (answer, took) = hurried(&server, &key, "1500m").await;
    assert_eq!(refusal(answer), (Code::Unavailable, "COMMIT_UNKNOWN".to_owned()));
    assert!(took < Duration::from_millis(1500), "before the caller's own deadline: {took:?}");
    lock.release().await;
    server.revoke(&key).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
}

#[tokio::test]
async fn what_is_written_is_never_told_as_not_written_when_the_database_stops_behind_it() {
    let server = Server::start_with(Setup::held()).await;
    let made = while_ringing(&server, server.key()).await;
    let key = made.key.expect("key");
    let rows = Rows::of(&server).await;
    let stop = async {
        let is_written = async || rows.number("SELECT max(seq) FROM event_log").await > made.revision;
        until("the revocation is written", is_written).await;
        WriteLock::take(&server).await
    };
    let ((answer, took), lock) = tokio::join!(hurried(&server, &key, "1500m"), stop);
    assert_eq!(refusal(answer), (Code::Unavailable, "COMMITTED_NOT_CONFIRMED".to_owned()));
    assert!(took < Duration::from_millis(1500), "before the caller's own deadline: {took:?}");
    lock.release().await;
}

#[tokio::test]
async fn a_caller_that_waits_for_nobody_is_answered_before_the_barrier() {
    let server = Server::start_with(Setup::held()).await;
    let made = while_ringing(&server, server.key()).await;
    let request = revoke_request(&made.key.expect("key"), pb::RevokeWait::None);
    let answer = server.signed::<_, pb::RevokeKeyResponse>(&server.admin, "KeyService/RevokeKey", &request);
    let revoked = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("at once").expect("revoke");
    assert_eq!(revoked.key.expect("key").state(), pb::KeyState::Revoked);
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid, "the replica has yet to follow");
    let request = revoke_request(&server_key(&server, &made.secret).await, pb::RevokeWait::Replicas);
    let answer = server.signed::<_, pb::RevokeKeyResponse>(&server.admin, "KeyService/RevokeKey", &request);
    while_ringing(&server, answer).await.expect("revoke");
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
}

/// The key behind a secret, as far as Verify tells.
async fn server_key(server: &Server, secret: &str) -> pb::Key {
    let answer = server.try_verify(secret).await.expect("verify");
    pb::Key { application_id: answer.application_id, key_id: answer.key_id, ..Default::default() }
}

#[tokio::test]
async fn more_writers_than_may_wait_are_told_at_once_and_the_others_get_through() {
    const MANY: usize = 200;
    let server = Server::start().await;
    let request =
        pb::CreateKeyRequest { application_id: server.app.clone(), name: "k".to_owned(), ..Default::default() };
    let create = || server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &request);
    let mut lock = Some(WriteLock::take(&server).await);
    let mut calls: futures_util::stream::FuturesUnordered<_> = (0..MANY).map(|_| create()).collect();
    let (mut made, mut told) = (0, 0);
    while let Some(answer) = futures_util::StreamExt::next(&mut calls).await {
        match answer {
            Ok(_) => made += 1,
            answer => {
                assert_eq!(refusal(answer), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
                told += 1;
            }
        }
        // The first to hear anything hears while nobody can write.
        if let Some(lock) = lock.take() {
            assert_eq!((made, told), (0, 1));
            lock.release().await;
        }
    }
    assert!(made >= 100, "{made} made, {told} told");
}

#[tokio::test]
async fn readers_that_take_their_time_hold_up_no_writer_and_no_lease() {
    const PLACES: usize = 64;
    let server = Server::start().await;
    let go_on = Arc::new(tokio::sync::Semaphore::new(0));
    let read = || {
        let (store, go_on) = (server.store().clone(), Arc::clone(&go_on));
        async move {
            store.read(Revision::default(), async move |_snapshot| Ok(go_on.acquire().await.map(drop).is_ok())).await
        }
    };
    let slow: Vec<_> = (0..PLACES).map(|_| tokio::spawn(read())).collect();
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let more = || server.by_token::<_, pb::ListKeysResponse>(&server.admin, "KeyService/ListKeys", &list);
    let mut tries = 0..200;
    while more().await.is_ok() {
        tries.next().expect("the places are taken in the end");
    }
    assert_eq!(refusal(more().await), (Code::ResourceExhausted, "OVERLOADED".to_owned()));

    let begun = Instant::now();
    let made = server.key().await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    server.revoke(&made.key.expect("key")).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    assert!(begun.elapsed() < Duration::from_secs(4), "a writer waits for no reader: {:?}", begun.elapsed());

    go_on.add_permits(PLACES);
    for read in slow {
        assert!(read.await.expect("task").expect("read"));
    }
    more().await.expect("and there is room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_made_up_kids_holds_up_no_proven_call() {
    // More than there are places to wait.
    const CONNECTIONS: usize = 6;
    const CALLS_EACH: usize = 200;
    let server = Arc::new(Server::start().await);
    let made = server.key().await;
    // Well-formed, dated now, and signed by a key that nobody registered.
    let stranger = Persona { key: test_key(7), ..server.admin.clone() };
    let token = stranger.token(&server);
    let over = Arc::new(AtomicBool::new(false));
    let mut flood = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let channel = server.another_channel();
        for _ in 0..CALLS_EACH {
            let (channel, token, over) = (channel.clone(), token.clone(), Arc::clone(&over));
            flood.spawn(async move {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    let mut request = tonic::Request::new(pb::VerifyKeyRequest::default());
                    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
                    let refused =
                        KeyServiceClient::new(channel.clone()).verify_key(request).await.expect_err("refused");
                    assert!(["TOKEN_INVALID", "OVERLOADED"].contains(&reason(&refused).as_str()), "{refused}");
                    answered += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answered
            });
        }
    }
    for _ in 0..5 {
        let key = server.key().await.key.expect("key");
        server.revoke(&key).await;
    }
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    over.store(true, Ordering::Relaxed);
    let answered: usize = flood.join_all().await.into_iter().sum();
    assert!(answered >= CONNECTIONS * CALLS_EACH, "it was a flood: {answered}");
}
