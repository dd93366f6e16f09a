//! On whatever engine: what was restored is answered from when somebody has said what it lost.

use std::time::Duration;

use portcullis::{
    clock::Clock,
    entropy::Entropy,
    pb,
    recovery::{self, Answer},
    store::Store,
};
use tonic::Code;

use crate::harness::{Server, Setup, import::old_key, reason, refusal, watch::from};

#[tokio::test]
async fn postgres_a_marked_database_is_answered_from_again_when_somebody_has_said_what_it_lost() {
    let Some(server) = Server::start_at_server(Setup::default()).await else { return };
    let [lives, dies] = [server.key().await, server.key().await];
    let other = Store::open(&server.data.database_url(), Clock::system(), Entropy::system()).await.expect("a store");
    other.mark_restored(None).await.expect("marked");
    // At the next turn of each replica.
    server.running().replica().sync_pass().await;
    for made in [&lives, &dies] {
        let answer = server.try_verify(&made.secret).await;
        assert_eq!(refusal(answer), (Code::Unavailable, "RESTORE_UNCONFIRMED".to_owned()));
    }
    assert!(server.setup.probe.ready().expect_err("not ready").contains("confirm-restore"), "and why");
    let request =
        pb::CreateKeyRequest { application_id: server.app.clone(), name: "k".to_owned(), ..Default::default() };
    let refused = server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &request).await;
    assert_eq!(reason(&refused.expect_err("no mutation either")), "RESTORE_UNCONFIRMED");
    let import = server.try_import(&server.admin, &server.import_of(vec![old_key(1)])).await;
    assert_eq!(refusal(import).1, "RESTORE_UNCONFIRMED");
    let beside = server.beside().await;
    assert_eq!(refusal(beside.try_verify(&lives.secret).await).1, "RESTORE_UNCONFIRMED", "nor by one that begins now");

    recovery::confirm(&other, Answer { accept_loss: true, ..Answer::default() }).await.expect("confirmed");
    let begun = server.setup.clock.boottime();
    for replica in [&server, &beside] {
        for _ in 0..100 {
            if replica.running().replica().is_fresh() {
                break;
            }
            replica.running().replica().sync_pass().await;
        }
        assert_eq!(replica.verdict(&lives.secret).await, pb::Verdict::Valid);
    }
    // Who served before the restore may not be among the members that came with it: though the server is
    // the same run of itself, they are waited for as long as a lease of theirs may last.
    let key = dies.key.expect("key");
    server.outlasted(server.revoke(&key)).await;
    let passed = server.setup.clock.boottime() - begun;
    assert!(passed >= Duration::from_millis(10_500), "{passed:?}");
    beside.running().replica().sync_pass().await;
    assert_eq!(beside.verdict(&dies.secret).await, pb::Verdict::Revoked);
    let again = recovery::confirm(&other, Answer { accept_loss: true, ..Answer::default() }).await;
    assert!(again.expect_err("once").to_string().contains("nothing to confirm"));
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watches are open again");
    watch.bookmark().await;
}

/// One command marks and answers, in less time than there is between two syncs.
#[tokio::test]
async fn postgres_who_did_not_see_the_mark_of_a_restore_measures_anew_as_well() {
    let Some(server) = Server::start_at_server(Setup::default()).await else { return };
    let key = server.key().await.key.expect("key");
    // It has seen this run for longer than any lease lasts.
    for _ in 0..25 {
        server.advance(Duration::from_millis(500)).await;
    }
    let other = Store::open(&server.data.database_url(), Clock::system(), Entropy::system()).await.expect("a store");
    // As it is when another replica syncs, or this one is held up: the mark is gone when it looks again.
    other.mark_restored(None).await.expect("marked");
    recovery::confirm(&other, Answer { accept_loss: true, ..Answer::default() }).await.expect("confirmed");
    let begun = server.setup.clock.boottime();
    for _ in 0..3 {
        server.running().replica().sync_pass().await;
    }
    server.outlasted(server.revoke(&key)).await;
    let passed = server.setup.clock.boottime() - begun;
    assert!(passed >= Duration::from_millis(10_500), "{passed:?}");
}
