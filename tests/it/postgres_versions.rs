//! Two versions side by side: what one of them cannot read is not written, and whoever meets it all
//! the same stops.

use std::time::Duration;

use portcullis::{
    pb,
    replica::Stopped,
    serve::ServeError,
    store::{Error, OpenError},
};

use crate::harness::{Rows, Server, Setup, member_that_reads};

/// An event of a kind that no program of today writes.
const NEWER: &str = "
INSERT INTO event_log (seq, event_id, time, changes)
    SELECT seq + 1, gen_random_uuid(), 0, '[{\"kind\": \"of_tomorrow\", \"row\": {}}]' FROM log_head;
UPDATE log_head SET seq = seq + 1";

/// One that is known, with more in it than is.
const MORE: &str = "
INSERT INTO event_log (seq, event_id, time, changes)
    SELECT seq + 1, gen_random_uuid(), 0,
           (SELECT jsonb_set(changes, '{0,row,of_tomorrow}', '1') FROM event_log WHERE seq = log_head.seq)
    FROM log_head;
UPDATE log_head SET seq = seq + 1";

async fn ended_by_itself(server: Server) -> ServeError {
    let ended = tokio::time::timeout(Duration::from_secs(30), server.ended_by_itself()).await;
    ended.expect("it goes on serving").expect_err("it says why")
}

#[tokio::test]
async fn a_replica_that_meets_what_it_does_not_know_stops_rather_than_skip_it() {
    for unknown in [NEWER, MORE] {
        let Some(one) = Server::start_at_server(Setup::default()).await else { return };
        let two = one.beside().await;
        let made = one.key().await;
        assert_eq!(two.verdict(&made.secret).await, pb::Verdict::Valid);
        Rows::of(&one).await.script(unknown).await;
        for server in [one, two] {
            let why = ended_by_itself(server).await;
            assert!(matches!(why, ServeError::Stopped(Stopped::Store(Error::UnknownEvent { .. }))), "{why}");
        }
    }
}

#[tokio::test]
async fn a_program_that_cannot_read_what_may_be_in_the_log_does_not_join() {
    let Some(one) = Server::start_at_server(Setup::default()).await else { return };
    Rows::of(&one).await.change("UPDATE log_head SET version = 1000").await;
    let why = one.try_beside().await.expect_err("it must not join");
    assert!(matches!(why, ServeError::Stopped(Stopped::Store(Error::NewerEvents))), "{why}");
    assert!(why.to_string().contains("newer version"), "{why}");
}

#[tokio::test]
async fn an_older_schema_is_refused_and_a_newer_one_that_serves_this_program_is_not() {
    let Some(one) = Server::start_at_server(Setup::default()).await else { return };
    let rows = Rows::of(&one).await;
    rows.change("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
    one.try_beside().await.expect("the newer schema serves from the eighth migration on").ended().await;
    rows.change("UPDATE log_head SET serves_from = 1000").await;
    let why = one.try_beside().await.expect_err("it does not any more");
    assert!(matches!(why, ServeError::Open(OpenError::Newer(_))), "{why}");
    rows.change(
        "DELETE FROM seaql_migrations WHERE version IN ('m29990101_000001_later', 'm20261128_000008_replicas')",
    )
    .await;
    let why = one.try_beside().await.expect_err("a migration is missing");
    assert!(matches!(why, ServeError::Open(OpenError::NotMigrated { pending: 1 })), "{why}");
}

/// Takes the database back to `seq`, as a backup that is restored under running replicas does.
async fn restore(rows: &Rows, seq: i64, key_id: &str) {
    rows.script(&format!(
        "DELETE FROM event_log WHERE seq > {seq}; UPDATE log_head SET seq = {seq}; \
         UPDATE api_key SET revoke_time = NULL, revoke_reason = NULL, revision = {seq} WHERE key_id = '{key_id}'"
    ))
    .await;
}

async fn cause_after_a_fork(with: Option<&str>) -> Option<String> {
    let server = Server::start_at_server(Setup::default()).await?;
    let made = server.key().await;
    let key = made.key.expect("key");
    server.revoke(&key).await;
    let rows = Rows::of(&server).await;
    if let Some(member) = with {
        rows.change(member).await;
    }
    restore(&rows, made.revision, &key.key_id).await;
    let data = server.try_again_after_its_end().await;
    assert_eq!(data.verdict(&made.secret).await, pb::Verdict::Revoked, "it was written again");
    assert_eq!(rows.number("SELECT count(*) FROM api_key WHERE revoke_time IS NULL").await, 0);
    rows.texts("SELECT changes->0->>'cause' FROM event_log ORDER BY seq DESC LIMIT 1").await.pop()
}

#[tokio::test]
async fn what_an_older_replica_could_not_read_is_written_in_words_that_it_knows() {
    let Some(cause) = cause_after_a_fork(None).await else { return };
    assert_eq!(cause, "history_fork", "where every replica reads it");
    assert_eq!(
        cause_after_a_fork(Some(&member_that_reads(1))).await.as_deref(),
        Some("revoked"),
        "and where one does not"
    );
}
