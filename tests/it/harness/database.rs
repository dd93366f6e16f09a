use std::{ops::Range, path::Path};

use portcullis::domain::id::KeyId;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, QueryResult, Statement};
use uuid::Uuid;

/// A look at a database file past the service.
#[derive(Debug)]
pub(crate) struct Rows(DatabaseConnection);

impl Rows {
    pub(crate) async fn of(path: &Path) -> Self {
        Self(Database::connect(format!("sqlite://{}", path.display())).await.expect("a second connection"))
    }

    pub(crate) async fn all(&self, sql: &str) -> Vec<QueryResult> {
        self.0.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.expect("rows")
    }

    pub(crate) async fn change(&self, sql: &str) {
        self.0.execute_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.expect("a change");
    }

    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.0
    }

    /// The first column of the only row.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.all(sql).await.first().expect("a row").try_get_by_index(0).expect("a number")
    }

    /// The first column, whole numbers.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        self.all(sql).await.iter().map(|row| row.try_get_by_index(0).expect("a number")).collect()
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        self.all(sql).await.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }

    /// So many keys like `template` and their timers, past the service, which must not run. Those
    /// of different numbers are different keys. Answers their ids, as a JSON array.
    pub(crate) async fn copy_key(&self, template: &str, numbers: Range<u128>) -> String {
        let ids = numbers.map(|n| KeyId::new(Uuid::from_u128((7 << 76) | (2 << 62) | n)).to_string());
        let ids = serde_json::to_string(&ids.collect::<Vec<_>>()).expect("JSON");
        for table in ["api_key", "key_timer"] {
            let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
            let value = |column: &String| match column.as_str() {
                "key_id" | "chain" => "j.value".to_owned(),
                "secret_sha256" => "randomblob(32)".to_owned(),
                other => format!("k.{other}"),
            };
            let values = columns.iter().map(value).collect::<Vec<_>>().join(", ");
            let columns = columns.join(", ");
            let from = format!("{table} k, json_each('{ids}') j WHERE k.key_id = '{template}'");
            self.change(&format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {from}")).await;
        }
        ids
    }

    /// Fails unless the history is dense and nothing is half-done: every mutation has its
    /// event and its audit row, and every key the event that made it what it is.
    pub(crate) async fn are_whole(&self) {
        self.hang_together().await;
        let creates = "SELECT count(*) FROM audit_event WHERE outcome = 'OK' \
            AND (method LIKE '%/CreateKey' OR method LIKE '%/RotateKey')";
        let keys = self.number("SELECT count(*) FROM api_key").await;
        assert_eq!(self.number(creates).await, keys, "no create without its key");
    }

    /// The same of keys that nobody's call made.
    pub(crate) async fn hang_together(&self) {
        let head = self.number("SELECT seq FROM log_head").await;
        let events = self.numbers("SELECT seq FROM event_log ORDER BY seq").await;
        assert_eq!(events, (0..=head).collect::<Vec<_>>(), "the log is dense");
        let audited = "SELECT DISTINCT revision FROM audit_event WHERE outcome = 'OK' ORDER BY revision";
        assert_eq!(self.numbers(audited).await, (1..=head).collect::<Vec<_>>(), "and audited");
        let without_event = "SELECT count(*) FROM api_key k WHERE NOT EXISTS \
            (SELECT 1 FROM event_log e WHERE e.seq = k.revision AND instr(e.changes, k.key_id) > 0)";
        assert_eq!(self.number(without_event).await, 0, "no key without its event");
        let without_audit = "SELECT count(*) FROM api_key k WHERE NOT EXISTS \
            (SELECT 1 FROM audit_event a WHERE a.revision = k.revision AND instr(a.\"after\", k.key_id) > 0)";
        assert_eq!(self.number(without_audit).await, 0, "no key without its audit row");
    }
}
