//! Imports where several replicas serve.

use std::time::Duration;

use portcullis::pb::{self, Verdict};
use tonic::Code;

use crate::harness::{
    Rows, Server, Setup,
    import::{IMPORT, counts, old_key, text},
    member_that_reads,
};

#[tokio::test]
async fn an_import_holds_at_every_replica_when_it_returns() {
    let Some(one) = Server::start_at_server(Setup::deaf(Duration::from_millis(300))).await else { return };
    let two = one.beside().await;
    assert_eq!(two.verdict(&text(0)).await, Verdict::Malformed);
    one.import_many(0..1000).await;
    assert_eq!([two.verdict(&text(0)).await, two.verdict(&text(999)).await], [Verdict::Valid; 2]);
    for round in 1..8 {
        two.import_many(round * 1000..(round + 1) * 1000).await;
    }
    assert_eq!(one.verdict(&text(7999)).await, Verdict::Valid, "more than a page of the log holds");
    let three = one.beside().await;
    assert_eq!(three.verdict(&text(7999)).await, Verdict::Valid, "as it was loaded");
}

#[tokio::test]
async fn two_replicas_that_are_told_the_same_import_do_it_once() {
    let Some(one) = Server::start_at_server(Setup::default()).await else { return };
    let two = one.beside().await;
    let (first, second) = tokio::join!(one.import_many(0..500), two.import_many(0..500));
    let mut made = [counts(&first), counts(&second)];
    made.sort_unstable();
    assert_eq!(made, [(0, 500), (500, 0)]);
    Rows::of(&one).await.hang_together().await;
}

#[tokio::test]
async fn nothing_is_imported_while_a_replica_would_not_look_for_it() {
    let Some(one) = Server::start_at_server(Setup::default()).await else { return };
    let rows = Rows::of(&one).await;
    rows.change(&member_that_reads(2)).await;
    let request = one.import_of(vec![old_key(0)]);
    one.refuses(&one.admin, IMPORT, &request, Code::FailedPrecondition, "REPLICA_TOO_OLD").await;
    assert_eq!((one.rows().await.keys, rows.number("SELECT version FROM log_head").await), (0, 1));
    assert_eq!(one.key().await.key.expect("key").state(), pb::KeyState::Active, "all else goes on");
    rows.change("DELETE FROM replica WHERE reads = 2").await;
    let answer = one.import_many(0..1).await;
    assert_eq!(rows.number("SELECT version FROM log_head").await, 3, "and no older one joins");
    let revoked = one.revoke(&one.get_key(&answer.keys[0].key_id).await).await;
    assert_eq!(revoked.key.expect("key").state(), pb::KeyState::Revoked);
}
