use std::{collections::BTreeMap, ops::Range};

use portcullis::domain::id::KeyId;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::{Data, data::Located, dialect};

/// A look at a database past the service.
#[derive(Debug)]
pub(crate) struct Rows(DatabaseConnection);

impl Rows {
    pub(crate) async fn of(place: &(impl Located + ?Sized)) -> Self {
        Self(dialect::connect(&place.url()).await)
    }

    /// As [`Rows::of`], where there may be no file yet.
    pub(crate) async fn begin(data: &Data) -> Self {
        let url = data.url();
        let make = if url.starts_with("sqlite") { "?mode=rwc" } else { "" };
        Self(dialect::connect(&format!("{url}{make}")).await)
    }

    fn statement(&self, sql: &str) -> Statement {
        Statement::from_string(self.engine(), sql)
    }

    fn engine(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    fn is_of_postgres(&self) -> bool {
        self.engine() == DbBackend::Postgres
    }

    pub(crate) async fn all(&self, sql: &str) -> Vec<QueryResult> {
        self.0.query_all_raw(self.statement(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn change(&self, sql: &str) {
        self.try_change(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Several statements in one transaction.
    pub(crate) async fn script(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn try_change(&self, sql: &str) -> Result<(), DbErr> {
        self.0.execute_raw(self.statement(sql)).await.map(drop)
    }

    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.0
    }

    /// The first column of the only row.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.numbers(sql).await.into_iter().next().expect("a row")
    }

    /// The only column, whole numbers.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let rows = self.all(&self.cast(sql, "bigint")).await;
        rows.iter().map(|row| row.try_get_by_index(0).expect("a number")).collect()
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.all(&self.cast(sql, "text")).await;
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }

    /// The one column as this type, where the engine's own are told apart.
    fn cast(&self, sql: &str, kind: &str) -> String {
        if self.is_of_postgres() { format!("SELECT it.x::{kind} FROM ({sql}) AS it(x)") } else { sql.to_owned() }
    }

    /// These bytes in an SQL statement.
    pub(crate) fn blob(&self, bytes: &[u8]) -> String {
        let hex = portcullis::chain::hex(bytes);
        if self.is_of_postgres() { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
    }

    /// This id in an SQL statement.
    pub(crate) fn uuid(&self, id: Uuid) -> String {
        if self.is_of_postgres() { format!("'{id}'::uuid") } else { self.blob(id.as_bytes()) }
    }

    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        self.texts(&if self.is_of_postgres() {
            format!(
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
            )
        } else {
            format!("SELECT name FROM pragma_table_info('{table}')")
        })
        .await
    }

    /// All that the migrations have made, as the engine describes it.
    pub(crate) async fn schema(&self) -> Vec<String> {
        self.texts(if self.is_of_postgres() {
            "SELECT * FROM (\
                SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, collation_name, is_nullable, column_default) \
                FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'seaql%' \
                UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'seaql%' \
                UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint \
                WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'seaql%'\
             ) all_of_it(line) ORDER BY line"
        } else {
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'seaql%' ORDER BY name"
        })
        .await
    }

    /// Of every table the columns, whether they may be null, and whether they are of the primary key.
    pub(crate) async fn tables(&self) -> BTreeMap<String, BTreeMap<String, (bool, bool)>> {
        let columns = if self.is_of_postgres() {
            "SELECT c.table_name::text, c.column_name::text, c.is_nullable = 'YES', EXISTS (\
                SELECT FROM information_schema.key_column_usage k JOIN information_schema.table_constraints t \
                USING (constraint_schema, constraint_name) WHERE t.constraint_type = 'PRIMARY KEY' \
                AND k.table_name = c.table_name AND k.column_name = c.column_name) \
             FROM information_schema.columns c WHERE table_schema = 'public' AND table_name NOT LIKE 'seaql%'"
        } else {
            "SELECT t.name, c.name, c.\"notnull\" = 0 AND c.pk = 0, c.pk > 0 FROM sqlite_master t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'seaql%' AND t.name NOT LIKE 'sqlite%'"
        };
        let mut tables: BTreeMap<String, BTreeMap<String, (bool, bool)>> = BTreeMap::new();
        for row in self.all(columns).await {
            let (table, name): (String, String) =
                (row.try_get_by_index(0).expect("a table"), row.try_get_by_index(1).expect("a column"));
            let (nullable, primary) = (
                row.try_get_by_index(2).expect("whether it may be null"),
                row.try_get_by_index(3).expect("whether it is of the key"),
            );
            tables.entry(table).or_default().insert(name, (nullable, primary));
        }
        tables
    }

    /// From now on no row of this table can be deleted.
    pub(crate) async fn stick(&self, table: &str) {
        let what = if self.is_of_postgres() {
            "FOR EACH ROW EXECUTE FUNCTION dialect.stuck()"
        } else {
            "BEGIN SELECT RAISE(ABORT, 'stuck'); END"
        };
        self.change(&format!("CREATE TRIGGER stuck BEFORE DELETE ON {table} {what}")).await;
    }

    pub(crate) async fn let_go(&self, table: &str) {
        let of = if self.is_of_postgres() { format!("ON {table}") } else { String::new() };
        self.change(&format!("DROP TRIGGER stuck {of}")).await;
    }

    /// Fails unless the rows are found by an index, in the order in which they are wanted.
    pub(crate) async fn goes_by_an_index(&self, sql: &str) {
        if self.is_of_postgres() {
            // Of a table without rows it knows nothing that speaks for an index.
            for other in ["enable_seqscan", "enable_sort", "enable_bitmapscan"] {
                self.change(&format!("SET {other} = off")).await;
            }
            let plan = self.all(&format!("EXPLAIN {sql}")).await;
            let plan: Vec<String> = plan.iter().map(|step| step.try_get_by_index(0).expect("a step")).collect();
            let plan = plan.join("\n");
            assert!(plan.contains("Index") && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{sql}: {plan}");
        } else {
            let plan = self.all(&format!("EXPLAIN QUERY PLAN {sql}")).await;
            let plan: Vec<String> = plan.iter().map(|step| step.try_get("", "detail").expect("a step")).collect();
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH"), "{sql}: {plan:?}");
        }
    }

    /// Claims of deliveries have run out. Of a file it is known at once that whoever had them is dead.
    pub(crate) async fn a_minute_later(&self) {
        if self.is_of_postgres() {
            self.change("UPDATE delivery SET claimed_until = 0").await;
        }
    }

    /// All that stands in the rows of a server's database, bytes as they are.
    pub(super) async fn written(&self) -> Vec<u8> {
        let mut written = Vec::new();
        let columns = "SELECT table_name::text, column_name::text, data_type = 'bytea' \
            FROM information_schema.columns WHERE table_schema = 'public'";
        for column in self.all(columns).await {
            let (table, name): (String, String) =
                (column.try_get_by_index(0).expect("a table"), column.try_get_by_index(1).expect("a column"));
            if column.try_get_by_index(2).expect("whether") {
                let rows = self.all(&format!("SELECT \"{name}\" FROM \"{table}\" WHERE \"{name}\" IS NOT NULL")).await;
                for row in rows {
                    written.extend(row.try_get_by_index::<Vec<u8>>(0).expect("bytes"));
                }
            } else {
                let rows = format!("SELECT coalesce(\"{name}\"::text, '') FROM \"{table}\"");
                written.extend(self.texts(&rows).await.join("\n").into_bytes());
            }
        }
        written
    }

    /// So many keys like `template` and their timers, past the service, which must not run. Those
    /// of different numbers are different keys. Answers their ids, as SQL has them in a list.
    pub(crate) async fn copy_key(&self, template: &str, numbers: Range<u128>) -> String {
        let ids = numbers.map(|n| KeyId::new(Uuid::from_u128((7 << 76) | (2 << 62) | n)).to_string());
        let ids: Vec<_> = ids.map(|id| format!("'{id}'")).collect();
        let values = ids.iter().map(|id| format!("({id})")).collect::<Vec<_>>().join(", ");
        for table in ["api_key", "key_timer"] {
            let columns = self.columns(table).await;
            let value = |column: &String| match column.as_str() {
                "key_id" | "chain" => "j.value".to_owned(),
                "secret_sha256" => "randomblob(32)".to_owned(),
                other => format!("k.{other}"),
            };
            let copied = columns.iter().map(value).collect::<Vec<_>>().join(", ");
            let columns = columns.join(", ");
            let from = format!("{table} k, j WHERE k.key_id = '{template}'");
            self.change(&format!(
                "WITH j(value) AS (VALUES {values}) INSERT INTO {table} ({columns}) SELECT {copied} FROM {from}"
            ))
            .await;
        }
        ids.join(", ")
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
