//! One test a promise, named after it. Each has a guard, and goes red without it: see
//! `tests/guards`.

use std::time::Duration;

use portcullis::{pb, replica::Pace};
use tonic::Code;

use crate::harness::{Server, Setup, WriteLock, refusal};

/// Without the doorbell the index follows by itself only once a second, so that a barrier
/// that does not wait is caught each time and not by luck.
fn slow_loop() -> Setup {
    Setup { pace: Pace { doorbell: false, ..Pace::default() }, ..Setup::default() }
}

#[tokio::test]
async fn revoked_is_refused_by_every_call_that_is_sent_after_the_answer() {
    let server = Server::start_with(slow_loop()).await;
    let made = server.key().await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    server.revoke(&made.key.expect("key")).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
}

#[tokio::test]
async fn a_replica_that_cannot_prove_it_is_fresh_answers_unavailable() {
    let server = Server::start().await;
    let made = server.key().await;
    // The database is locked by somebody else: no sync gets through.
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(11));
    let answer = server.try_verify(&made.secret).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "FRESHNESS_UNPROVEN".to_owned()));
    lock.release().await;
    server.running().replica().sync_pass().await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
}
