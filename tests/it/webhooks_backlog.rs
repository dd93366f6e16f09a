//! A receiver that is down for long: what waits for it holds up nobody, and is given up in the end.

use std::time::{Duration, Instant};

use portcullis::pb;

use crate::harness::{Hook, Rows, Server, receiver::Receiver};

const PENDING: i32 = pb::DeliveryState::Pending as i32;

/// Repeats the oldest delivery so often: each for a key of its own, or all for one.
async fn pile_up(rows: &Rows, hook: &Hook, many: i64, from: i64, one_key: bool) {
    let (state, key) = if one_key {
        ("queued", "order_key".to_owned())
    } else {
        ("pending", format!("'key_' || printf('%022d', n + {from})"))
    };
    let columns = "channel, destination, notice_id, kind, application_id, attempts, create_time, give_up_time, \
                   next_attempt_time, claimed_until, last_error";
    let sql = format!(
        "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {many}), \
         oldest AS (SELECT * FROM delivery WHERE destination = '{}' ORDER BY seq LIMIT 1) \
         INSERT INTO delivery (delivery_id, seq, state, order_key, {columns}) \
         SELECT 'dlv_' || printf('%022d', n + {from}), seq + n + {from}, '{state}', {key}, {columns} FROM many, oldest",
        hook.webhook.webhook_id
    );
    rows.change(&sql).await;
}

#[tokio::test]
async fn a_backlog_of_40_000_for_a_dead_receiver_holds_up_no_other() {
    let (dead, mut good) = (Receiver::start().await, Receiver::start().await);
    let url = dead.url.clone();
    drop(dead);
    let server = Server::start().await;
    let hook = server.hook(&url).await;
    server.key().await;
    server.until_deliveries(&hook, |all| all[0].attempts == 1).await;
    let rows = Rows::of(&server.database_path()).await;
    pile_up(&rows, &hook, 20_000, 1_000_000, true).await;
    pile_up(&rows, &hook, 20_000, 2_000_000, false).await;
    server.hook(&good.url).await;
    let started = Instant::now();
    for _ in 0..20 {
        let key = server.key().await.key.expect("key");
        assert_eq!(good.next().await.key_id(), key.key_id);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let first = server.deliveries(&hook).await;
    assert!(first.iter().all(|one| one.state == PENDING), "nothing is lost");
    assert!(first[1..].iter().all(|one| one.attempts == 0), "in the order of the key");
}
