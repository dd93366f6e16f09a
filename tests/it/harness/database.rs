//! The database file behind the server's back, by a second connection.

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

use super::Server;

pub(crate) async fn open(server: &Server) -> DatabaseConnection {
    let url = format!("sqlite://{}", server.database_path().display());
    Database::connect(url).await.expect("a second connection")
}

pub(crate) async fn execute(server: &Server, sql: &str) {
    open(server).await.execute_unprepared(sql).await.expect("statement");
}

/// A row of the audit log.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) method: String,
    pub(crate) outcome: String,
    pub(crate) account: Option<String>,
}

/// The audit log, oldest first.
pub(crate) async fn audit(server: &Server) -> Vec<Act> {
    let database = open(server).await;
    let sql = "SELECT method, outcome, service_account_id FROM audit_event ORDER BY rowid";
    let rows =
        database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.expect("audit");
    let read = |row: sea_orm::QueryResult| Act {
        method: row.try_get("", "method").expect("method"),
        outcome: row.try_get("", "outcome").expect("outcome"),
        account: row.try_get("", "service_account_id").expect("account"),
    };
    rows.into_iter().map(read).collect()
}

/// Appends what event `seq` says once more, as the newest event, as a late write would; and
/// waits until the server has met it.
pub(crate) async fn append_copy_of_event(server: &Server, seq: i64) {
    execute(
        server,
        &format!(
            "BEGIN IMMEDIATE; \
             INSERT INTO event_log (seq, event_id, time, changes) \
               SELECT h.seq + 1, randomblob(16), e.time, e.changes FROM log_head h, event_log e WHERE e.seq = {seq}; \
             UPDATE log_head SET seq = seq + 1; COMMIT;"
        ),
    )
    .await;
    server.running().replica().sync_pass().await;
}
