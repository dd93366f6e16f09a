//! A database whose clock was ahead, and is set right.

use std::time::Duration;

use portcullis::pb;

use crate::harness::{Headers, Server, Setup, message_bytes, nonce, path, refusal};

#[tokio::test]
async fn a_nonce_outlives_a_clock_that_was_ahead_and_was_set_back() {
    const AHEAD: i64 = 30 * 60;
    let Some(old) = Server::start_at_server(Setup::default()).await else { return };
    old.advance(Duration::from_secs(1)).await;
    old.setup.clock.step(AHEAD * 1_000_000);
    old.running().replica().sync_pass().await;
    old.setup.clock.step(-AHEAD * 1_000_000);
    // It never saw the clock ahead, and takes what is dated now; the old one keeps house.
    let young = old.beside().await;
    let now = young.now();
    assert!(old.running().replica().now() > now, "what it said is not taken back");
    let method = "KeyService/CreateKey";
    let request =
        pb::CreateKeyRequest { application_id: young.app.clone(), name: "k".to_owned(), ..Default::default() };
    let message = message_bytes(&request);
    let headers = Headers::sign(&young.admin, &path(method), &message, now.seconds(), &nonce());
    let call = async || young.with_headers::<pb::CreateKeyResponse>(method, message.clone(), &headers).await;
    call().await.expect("the first");
    assert_eq!(refusal(call().await).1, "NONCE_REUSED");
    old.store().forget_nonces(old.running().replica().now()).await.expect("housekeeping");
    assert_eq!(refusal(call().await).1, "NONCE_REUSED", "a replay");
}
