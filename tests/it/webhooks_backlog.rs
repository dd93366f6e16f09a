//! A receiver that is down for long: what waits for it holds up nobody, and is given up in the end.

use std::time::{Duration, Instant};

use portcullis::{pb, store::GivenUp};

use crate::harness::{
    Hook, Rows, Server,
    receiver::{Receiver, Reply},
    webhook::DELETE,
};

const PENDING: i32 = pb::DeliveryState::Pending as i32;
const DELIVERED: i32 = pb::DeliveryState::Delivered as i32;
const FAILED: i32 = pb::DeliveryState::Failed as i32;

/// Repeats the oldest delivery so often: each for a key of its own, or all for one.
async fn pile_up(rows: &Rows, hook: &Hook, many: i64, from: i64, one_key: bool) {
    // 22 digits.
    let number = format!("substr('0000000000000000000000' || (n + {from}), length('' || (n + {from})) + 1)");
    let (state, key) =
        if one_key { ("queued", "order_key".to_owned()) } else { ("pending", format!("'key_' || {number}")) };
    let columns = "channel, destination, notice_id, kind, application_id, create_time, give_up_time, \
                   claimed_until, last_error";
    let sql = format!(
        "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {many}), \
         oldest AS (SELECT * FROM delivery WHERE destination = '{}' ORDER BY seq LIMIT 1) \
         INSERT INTO delivery (delivery_id, seq, state, order_key, attempts, next_attempt_time, {columns}) \
         SELECT 'dlv_' || {number}, seq + n + {from}, '{state}', {key}, 0, 0, {columns} FROM many, oldest",
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
    let rows = Rows::of(&server).await;
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
    let mut of_one_key = first.iter().filter(|one| one.key_id == first[0].key_id).skip(1);
    assert!(of_one_key.all(|one| one.attempts == 0), "in the order of the key");
}

async fn rename(server: &Server, key: &pb::Key, name: &str) {
    server.update(key, &["name"], pb::Key { name: name.to_owned(), ..Default::default() }).await;
}

#[tokio::test]
async fn what_waited_for_a_day_behind_another_is_tried_once_and_no_more() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(422));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let key = server.key().await.key.expect("key");
    receiver.next().await;
    for name in ["second", "third"] {
        rename(&server, &key, name).await;
    }
    server.until_deliveries(&hook, |all| all[0].attempts == 1 && all.len() == 3).await;
    let all = server.deliveries(&hook).await;
    assert!(all[1..].iter().all(|one| one.state == PENDING && one.next_attempt_time.is_none()), "{all:#?}");
    // Something else arrives: the receiver is not dead.
    receiver.replies(Reply::Status(200));
    server.key().await;
    receiver.next().await;
    server.until_deliveries(&hook, |all| all[3].state == DELIVERED).await;
    receiver.replies(Reply::Status(422));
    server.advance(Duration::from_hours(24)).await;
    for waited in &all {
        assert_eq!(receiver.next().await.id(), waited.message_id, "in order");
    }
    let all = server.until_deliveries(&hook, |all| all[..3].iter().all(|one| one.state == FAILED)).await;
    assert_eq!(all.iter().map(|one| one.attempts).collect::<Vec<_>>(), [2, 1, 1, 1]);
    receiver.nothing().await;

    // What comes later goes as ever.
    receiver.replies(Reply::Status(200));
    rename(&server, &key, "fourth").await;
    assert_eq!(receiver.next().await.kind(), "key.updated");
}

#[tokio::test]
async fn what_was_not_sent_in_7_days_is_given_up_shown_for_a_day_and_what_is_behind_it_moves_up() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(500));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let key = server.key().await.key.expect("key");
    receiver.next().await;
    rename(&server, &key, "second").await;
    server.until_deliveries(&hook, |all| all.len() == 2 && all[0].attempts == 1).await;
    let rows = Rows::of(&server).await;
    // As if it, and a mail without a server, had been there for so long.
    let old = "UPDATE delivery SET create_time = create_time - 8 * 86400000000 + 3600000000 WHERE seq = 1";
    rows.change(old).await;
    let mail = "INSERT INTO delivery SELECT 'dlv_0000000000000000000000', 'mail', 'ops@example.org', notice_id, seq, kind, \
        application_id, order_key, state, 0, create_time, give_up_time, 0, NULL, 0, NULL, NULL, '' FROM delivery WHERE seq = 1";
    rows.change(mail).await;
    receiver.replies(Reply::Status(200));
    let week = Duration::from_hours(7 * 24);
    let mut given_up = GivenUp::default();
    server.store().give_up_deliveries(server.now().saturating_sub(week), &mut given_up).await.expect("give up");
    assert_eq!(given_up, GivenUp { webhooks: 1, mail: 1 });
    let forgotten = server.store().forget_deliveries(server.now().saturating_sub(week)).await.expect("forget");
    assert_eq!(forgotten.rows, 0, "they are shown for a day more");
    server.advance(Duration::from_secs(1)).await;
    assert_eq!(receiver.next().await.json()["data"]["key"]["name"], "second");
    let all = server.until_deliveries(&hook, |all| all[1].state == DELIVERED).await;
    assert_eq!((all[0].state, all[0].last_error.as_str()), (FAILED, "HTTP 500"));
    let errors = rows.texts("SELECT last_error FROM delivery WHERE channel = 'mail' AND state = 'failed'").await;
    assert!(errors[0].contains("waited for too long"), "{errors:?}");
    server.advance(Duration::from_hours(24)).await;
    let forgotten = server.store().forget_deliveries(server.now().saturating_sub(week)).await.expect("forget");
    assert_eq!(forgotten.rows, 2);
    receiver.nothing().await;
}

#[tokio::test]
async fn numbers_of_notices_are_never_given_twice() {
    let server = Server::start().await;
    server.key().await;
    server.key().await;
    server.advance(Duration::from_hours(8 * 24)).await;
    let week = Duration::from_hours(7 * 24);
    let forgotten = server.store().forget_deliveries(server.now().saturating_sub(week)).await.expect("forget");
    assert_eq!(forgotten.rows, 2);
    let server = server.restart().await;
    server.key().await;
    assert_eq!(server.number("SELECT seq FROM notice").await, 3);
}

#[tokio::test]
async fn what_a_deleted_webhook_leaves_behind_is_forgotten_bit_by_bit_and_never_sent() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Status(500));
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    server.key().await;
    receiver.next().await;
    server.until_deliveries(&hook, |all| all[0].attempts == 1).await;
    let rows = Rows::of(&server).await;
    pile_up(&rows, &hook, 2_500, 1_000_000, true).await;
    let delete = pb::DeleteWebhookRequest {
        application_id: server.app.clone(),
        webhook_id: hook.webhook.webhook_id.clone(),
        ..Default::default()
    };
    let _: pb::DeleteWebhookResponse = server.signed(&server.admin, DELETE, &delete).await.expect("delete");
    assert_eq!(server.number("SELECT count(*) FROM delivery").await, 1_501, "a bounded part of it in the call");
    server.advance(Duration::from_hours(1)).await;
    receiver.nothing().await;
    let week = Duration::from_hours(7 * 24);
    let forgotten = server.store().forget_deliveries(server.now().saturating_sub(week)).await.expect("forget");
    assert_eq!((forgotten.rows, server.number("SELECT count(*) FROM delivery").await), (1_501, 0));
}
