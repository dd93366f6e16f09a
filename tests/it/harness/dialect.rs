//! What PostgreSQL lacks of the SQL that tests write by hand. In a schema that the service does
//! not look into.

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, sqlx::postgres::PgConnectOptions};

const FUNCTIONS: &str = "
CREATE SCHEMA dialect;
CREATE FUNCTION dialect.instr(text, text) RETURNS bigint LANGUAGE sql AS 'SELECT strpos($1, $2)::bigint';
CREATE FUNCTION dialect.instr(jsonb, text) RETURNS bigint LANGUAGE sql AS 'SELECT strpos($1::text, $2)::bigint';
CREATE FUNCTION dialect.quote(anyelement) RETURNS text LANGUAGE sql AS 'SELECT quote_nullable($1::text)';
CREATE FUNCTION dialect.hex(bytea) RETURNS text LANGUAGE sql AS $$SELECT upper(encode($1, 'hex'))$$;
CREATE FUNCTION dialect.randomblob(int) RETURNS bytea LANGUAGE sql
    AS 'SELECT substr(sha256(uuid_send(gen_random_uuid())), 1, $1)';
CREATE FUNCTION dialect.stuck() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'stuck'; END$$;
";

/// Gives a database of today's or of no schema these functions.
pub(super) async fn teach(url: &str) {
    let database = connect(url).await;
    database.execute_unprepared(FUNCTIONS).await.expect("the functions");
    database.close().await.expect("close");
}

/// A connection of its own, by which tests look past the service.
pub(super) async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    if url.starts_with("postgres") {
        let finds = |options: PgConnectOptions| options.options([("search_path", "public,dialect")]);
        options.max_connections(1).map_sqlx_postgres_opts(finds);
    }
    options.sqlx_logging(false);
    Database::connect(options).await.expect("a second connection")
}
