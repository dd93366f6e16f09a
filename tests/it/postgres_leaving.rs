//! What a replica leaves behind among others.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    consistency::SOON,
    harness::{Rows, Server, Setup},
    kept::{cache_ttl, let_cache, revoking},
};

/// Moves the clock on in small steps: silence is counted from what was seen.
async fn pass(server: &Server, seconds: u64) {
    for _ in 0..4 * seconds {
        server.advance(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn what_it_let_verifiers_keep_is_waited_for_from_its_end_on_and_no_longer() {
    let Some(stays) = Server::start_at_server(Setup::brisk()).await else { return };
    let_cache(&stays, Duration::from_secs(8)).await;
    let made = stays.key().await;
    // It says nothing by itself any more: what it was heard of last is of its begin.
    let leaves = stays.beside_with(|setup| setup.pace = Setup::held().pace).await;
    pass(&stays, 4).await;
    let kept = cache_ttl(&leaves, &made.secret).await.expect("it may be kept");
    assert!((Duration::from_secs(4)..Duration::from_secs(7)).contains(&kept), "the rest of its lease: {kept:?}");
    leaves.ended().await;
    let stays = Arc::new(stays);
    let rows = Rows::of(&stays).await;
    assert_eq!(rows.number("SELECT count(*) FROM replica").await, 2, "its row stays");
    let mut everywhere = revoking(&stays, &made.key.expect("key"));
    let whole = kept.as_secs();
    pass(&stays, whole - 1).await;
    assert!(timeout(Duration::from_millis(300), &mut everywhere).await.is_err(), "a verifier may answer VALID");
    // 5 % more, for clocks of other speeds.
    pass(&stays, 3).await;
    timeout(SOON, everywhere).await.expect("then it is over").expect("task").expect("revoke");
    assert_eq!(rows.number("SELECT count(*) FROM replica").await, 1, "and its row is gone");
}
