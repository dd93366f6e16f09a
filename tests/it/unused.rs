//! Keys that nobody uses.

use portcullis::pb;

use crate::harness::Server;

const DAYS: u64 = 24 * 3600;

#[tokio::test]
async fn a_key_that_nobody_used_for_90_days_is_told_once() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let made = server.key().await;
    let used = made.key.expect("key");
    server.pass(80 * DAYS).await;
    server.verdict(&made.secret).await;
    server.flush().await;
    server.pass(10 * DAYS).await;
    assert_eq!(server.told(&key).await, ["created", "unused"], "neither made nor used");
    assert_eq!(server.told(&used).await, ["created"]);
    let told = server.all_told().await.into_iter().find(|told| told.kind == "key.unused").expect("told");
    assert!(told.data["last_used_time"].is_null());
    assert!(server.get_key(&key.key_id).await.unused);
    server.pass(80 * DAYS).await;
    assert_eq!(server.told(&used).await, ["created", "unused"], "90 days after its last use");
    server.pass(400 * DAYS).await;
    assert_eq!(server.told(&key).await, ["created", "unused"], "once");
    assert_eq!(server.told(&used).await, ["created", "unused"]);
    server.verdict(&made.secret).await;
    server.flush().await;
    server.pass(100 * DAYS).await;
    server.pass(90 * DAYS).await;
    assert_eq!(server.told(&used).await, ["created", "unused", "unused"], "it was used, and went unused again");
    assert_eq!(server.told(&key).await, ["created", "unused"]);
}

#[tokio::test]
async fn nobody_is_told_of_a_key_that_cannot_be_used() {
    let server = Server::start().await;
    let disabled = server.key().await.key.expect("key");
    server.update(&disabled, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
    let revoked = server.key().await.key.expect("key");
    server.revoke(&revoked).await;
    server.pass(100 * DAYS).await;
    assert_eq!(server.told(&disabled).await, ["created", "updated"]);
    assert_eq!(server.told(&revoked).await, ["created", "revoked"]);
    server.update(&disabled, &["disabled"], pb::Key::default()).await;
    server.pass(89 * DAYS).await;
    assert_eq!(server.told(&disabled).await, ["created", "updated", "updated"], "it counts from when it could be");
    server.pass(DAYS).await;
    assert_eq!(server.told(&disabled).await.last().expect("told"), "unused");
}
