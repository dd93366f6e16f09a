//! A database whose clock is ahead, or is set right.

use std::time::Duration;

use portcullis::pb;

use crate::harness::{Headers, Rows, Server, Setup, message_bytes, nonce, path, refusal};

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

const HOUR: i64 = 3600;

/// And was ahead for so long that what it took for old was forgotten.
#[tokio::test]
async fn a_nonce_that_was_forgotten_is_not_good_again_when_the_clock_is_set_back() {
    for ahead in [HOUR, 30 * HOUR] {
        is_good_once(Server::start().await, ahead).await;
    }
}

/// The same on PostgreSQL, whatever this run is of.
#[tokio::test]
async fn a_nonce_that_a_server_has_forgotten_is_not_good_again_when_its_clock_is_set_back() {
    for ahead in [HOUR, 30 * HOUR] {
        let Some(server) = Server::start_at_server(Setup::default()).await else { return };
        is_good_once(server, ahead).await;
    }
}

async fn is_good_once(server: Server, ahead: i64) {
    let (method, now) = ("KeyService/CreateKey", server.now());
    let request =
        pb::CreateKeyRequest { application_id: server.app.clone(), name: "k".to_owned(), ..Default::default() };
    let message = message_bytes(&request);
    let sign = |server: &Server, later: i64| {
        Headers::sign(&server.admin, &path(method), &message, now.seconds() + later, &nonce())
    };
    let headers = sign(&server, 0);
    let send = async |server: &Server, headers: &Headers| {
        server.with_headers::<pb::CreateKeyResponse>(method, message.clone(), headers).await
    };
    send(&server, &headers).await.expect("the first");
    server.setup.clock.step(ahead * 1_000_000);
    server.running().replica().sync_pass().await;
    let late = server.running().replica().now();
    let forgotten = server.store().forget_nonces(late).await.expect("housekeeping");
    assert_eq!(forgotten > 0, ahead > HOUR, "what may come again within an hour is kept");
    // Whoever saw it ahead is gone.
    let server = server.restart_after(async |clock, _| clock.step(-ahead * 1_000_000)).await;
    assert_eq!(refusal(send(&server, &headers).await).1, "NONCE_REUSED", "a replay");
    // A clock that is set right in time costs nothing; else what is dated later is new for sure.
    let fresh = send(&server, &sign(&server, 0)).await;
    assert_eq!(fresh.is_ok(), ahead == HOUR, "{fresh:?}");
    send(&server, &sign(&server, 1)).await.expect("later than all that was forgotten");
}

/// After a failover nobody may know who serves. The new server's clock shows a later time than the old
/// one's did, or somebody sets it: no lease is over sooner for that.
#[tokio::test]
async fn a_new_run_of_the_database_is_waited_for_by_no_clock_that_can_be_set() {
    let Some(old) = Server::start_at_server(Setup::default()).await else { return };
    let made = old.key().await;
    let rows = Rows::of(&old).await;
    let begun = old.setup.clock.boottime();
    let server = old.beside().await;
    old.ended().await;
    // What a server leaves behind that was another one.
    rows.change("UPDATE log_head SET incarnation = '1/1'").await;
    server.setup.clock.step(3_600_000_000);
    server.running().replica().sync_pass().await;
    let key = made.key.expect("key");
    server.outlasted(server.revoke(&key)).await;
    // The lease, and 5 % for clocks of other speeds.
    let passed = server.setup.clock.boottime() - begun;
    assert!(passed >= Duration::from_millis(10_500), "{passed:?}");
    server.advance(Duration::from_secs(1)).await;
    server.running().replica().sync_pass().await;
    assert_eq!(rows.number("SELECT since FROM log_head").await, 0, "whoever begins now need not wait");
    let young = server.beside().await;
    young.revoke(&young.key().await.key.expect("key")).await;
}
