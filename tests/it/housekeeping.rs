//! What is forgotten goes in small pieces: nobody waits long behind it, and one table that
//! cannot be cleaned keeps no other from it.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use portcullis::housekeeping;

use crate::harness::{Rows, Server};

const HISTORY: Duration = Duration::from_hours(24);

async fn count(rows: &Rows, table: &str) -> i64 {
    rows.number(&format!("SELECT count(*) FROM {table}")).await
}

/// `many` old rows of each of two tables.
async fn fill(rows: &Rows, many: u32) {
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})");
    rows.change(&format!("{numbers} INSERT INTO nonce (nonce_sha256, expire_time) SELECT randomblob(32), i FROM n"))
        .await;
    // Of 200 chains, as many as are known of one: each keeps its last one.
    let networks = "INSERT INTO key_network (chain, network, first_time, last_time) \
                    SELECT 'chain ' || (i % 200), 'network ' || i, 1, i FROM n";
    rows.change(&format!("{numbers} {networks}")).await;
}

#[tokio::test]
async fn many_old_rows_are_deleted_in_small_transactions_with_room_for_the_sync_loop_in_between() {
    let server = Server::start().await;
    let rows = Rows::of(&server).await;
    let (nonces, now) = (count(&rows, "nonce").await, server.now());
    fill(&rows, 50_000).await;

    let (over, passes) = (AtomicBool::new(false), AtomicU32::new(0));
    let clean = async {
        housekeeping::round(server.store(), now, HISTORY).await;
        over.store(true, Ordering::SeqCst);
    };
    let sync = async {
        while !over.load(Ordering::SeqCst) {
            server.turn().await;
            passes.fetch_add(1, Ordering::SeqCst);
        }
    };
    tokio::join!(clean, sync);

    assert_eq!(count(&rows, "nonce").await, nonces + 1, "all that is old and nothing else, and up to when is noted");
    assert_eq!(count(&rows, "key_network").await, 200);
    let most = server.store().most_forgotten_at_once();
    assert!((1..=500).contains(&most), "{most} rows in one transaction");
    let passes = passes.into_inner();
    assert!(passes > 10, "the sync loop had {passes} turns while 100,000 rows were deleted");
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_others_done() {
    let server = Server::start().await;
    let rows = Rows::of(&server).await;
    fill(&rows, 1_000).await;
    server.key().await;
    // The first step of all.
    rows.stick("nonce").await;
    let events = count(&rows, "event_log").await;
    server.advance(2 * HISTORY).await;
    let now = server.running().replica().now();
    housekeeping::round(server.store(), now, HISTORY).await;
    assert!(count(&rows, "nonce").await >= 1_000, "it did fail");
    assert_eq!(count(&rows, "key_network").await, 200, "and the others did not");
    assert!(count(&rows, "event_log").await < events, "to the last of them");

    rows.let_go("nonce").await;
    housekeeping::round(server.store(), now, HISTORY).await;
    assert!(count(&rows, "nonce").await < 1_000, "it is made up for");
}

#[tokio::test]
async fn what_is_looked_for_again_and_again_is_found_by_an_index() {
    let server = Server::start().await;
    let rows = Rows::of(&server).await;
    for (table, old) in [
        ("nonce", "expire_time < 9 ORDER BY expire_time"),
        ("create_request", "expire_time < 9 ORDER BY expire_time"),
        ("budget", "window_end < 9 ORDER BY window_end"),
        ("usage_count", "unit = 'hour' AND start < 9 ORDER BY start"),
        ("sealed_secret", "gone_time < 9 ORDER BY gone_time"),
        ("sealed_secret", "gone_time IS NULL ORDER BY key_id"),
        ("key_network", "last_time < 9 ORDER BY last_time"),
        ("alert", "last_time < 9 ORDER BY last_time"),
        ("event_log", "seq < 9 ORDER BY seq"),
        ("event_log", "time >= 9"),
    ] {
        rows.goes_by_an_index(&format!("SELECT * FROM {table} WHERE {old}")).await;
    }
}
