//! The first schema. Moments are microseconds since the Unix epoch: a `bigint` is the
//! same on both engines, where `timestamptz` is a text on one of them.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DbBackend};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            for (table, column) in ORDERED {
                let collate = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar COLLATE \"C\"");
                manager.get_connection().execute_unprepared(&collate).await?;
            }
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let names = [
            "audit_event",
            "nonce",
            "create_request",
            "replica",
            "api_key",
            "service_account_key",
            "service_account",
            "application",
            "event_log",
            "log_head",
        ];
        for name in names {
            manager.drop_table(Table::drop().table(Alias::new(name)).to_owned()).await?;
        }
        Ok(())
    }
}

/// Ids are listed in the order of their bytes, which is the order of creation. SQLite
/// compares bytes anyway; PostgreSQL would compare by the language of the database.
const ORDERED: &[(&str, &str)] =
    &[("application", "application_id"), ("service_account", "service_account_id"), ("api_key", "key_id")];

fn tables() -> Vec<TableCreateStatement> {
    vec![
        log_head(),
        event_log(),
        application(),
        service_account(),
        service_account_key(),
        api_key(),
        replica(),
        nonce(),
        create_request(),
        audit_event(),
    ]
}

/// The one counter of revisions. `log_id` names this history.
fn log_head() -> TableCreateStatement {
    table("log_head").col(small_integer("id").primary_key()).col(uuid("log_id")).col(big_integer("seq")).to_owned()
}

fn event_log() -> TableCreateStatement {
    table("event_log")
        .col(big_integer("seq").primary_key())
        .col(uuid("event_id"))
        .col(big_integer("time"))
        .col(json_binary("changes"))
        .to_owned()
}

fn application() -> TableCreateStatement {
    table("application")
        .col(string("application_id").primary_key())
        .col(text("name"))
        .col(string_null("key_prefix"))
        .col(big_integer("create_time"))
        .col(big_integer("update_time"))
        .col(big_integer("revision"))
        .to_owned()
}

fn service_account() -> TableCreateStatement {
    table("service_account")
        .col(string("service_account_id").primary_key())
        .col(text("name"))
        .col(string_uniq("client_email"))
        .col(json_binary("roles"))
        .col(boolean("all_applications"))
        .col(json_binary("application_ids"))
        .col(json_binary("grantable_permissions"))
        .col(boolean("disabled"))
        .col(big_integer("create_time"))
        .col(big_integer("update_time"))
        .col(big_integer("revision"))
        .to_owned()
}

fn service_account_key() -> TableCreateStatement {
    table("service_account_key")
        .col(string("kid").primary_key())
        .col(string("service_account_id"))
        .col(text("public_key_pem"))
        .col(big_integer("create_time"))
        .foreign_key(
            ForeignKey::create()
                .from(Alias::new("service_account_key"), Alias::new("service_account_id"))
                .to(Alias::new("service_account"), Alias::new("service_account_id")),
        )
        .to_owned()
}

fn api_key() -> TableCreateStatement {
    table("api_key")
        .col(string("key_id").primary_key())
        .col(string("application_id"))
        .col(text("name"))
        .col(text("description"))
        .col(string("key_type"))
        .col(string("environment"))
        .col(string("prefix"))
        .col(binary("secret_sha256").unique_key())
        .col(small_integer("hash_version"))
        .col(json_binary("permissions"))
        .col(json_binary("labels"))
        .col(boolean("disabled"))
        .col(big_integer("create_time"))
        .col(big_integer("update_time"))
        .col(big_integer_null("expire_time"))
        .col(big_integer_null("revoke_time"))
        .col(string_null("revoke_reason"))
        .col(text("revoke_comment"))
        .col(string("created_by"))
        .col(big_integer("revision"))
        .foreign_key(
            ForeignKey::create()
                .from(Alias::new("api_key"), Alias::new("application_id"))
                .to(Alias::new("application"), Alias::new("application_id")),
        )
        .to_owned()
}

/// Who serves: a row a process, renewed by its lease.
fn replica() -> TableCreateStatement {
    table("replica").col(uuid("id").primary_key()).col(big_integer("beat")).col(big_integer("acked_seq")).to_owned()
}

fn nonce() -> TableCreateStatement {
    table("nonce").col(binary("nonce_sha256").primary_key()).col(big_integer("expire_time")).to_owned()
}

/// What a request_id made, so that a repeat makes nothing.
fn create_request() -> TableCreateStatement {
    table("create_request")
        .col(string("service_account_id"))
        .col(uuid("request_id"))
        .col(binary("fingerprint"))
        .col(string("resource_id"))
        .col(big_integer("expire_time"))
        .primary_key(Index::create().col(Alias::new("service_account_id")).col(Alias::new("request_id")))
        .to_owned()
}

fn audit_event() -> TableCreateStatement {
    table("audit_event")
        .col(uuid("audit_id").primary_key())
        .col(big_integer("time"))
        .col(big_integer_null("revision"))
        .col(string_null("service_account_id"))
        .col(string_null("kid"))
        .col(string("method"))
        .col(string("request_id"))
        .col(string("peer"))
        .col(string("outcome"))
        .col(text_null("before"))
        .col(text_null("after"))
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("api_key_by_application", "api_key", &["application_id", "key_id"]),
        index("service_account_key_by_account", "service_account_key", &["service_account_id"]),
        index("nonce_by_expiry", "nonce", &["expire_time"]),
        index("create_request_by_expiry", "create_request", &["expire_time"]),
        index("audit_event_by_time", "audit_event", &["time"]),
        index("event_log_by_time", "event_log", &["time"]),
    ]
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(Alias::new(table)).to_owned();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_type_exists_on_postgresql_too() {
        let tables: Vec<_> = tables().iter().map(|table| table.to_string(PostgresQueryBuilder)).collect();
        let indexes: Vec<_> = indexes().iter().map(|index| index.to_string(PostgresQueryBuilder)).collect();
        let all = [tables, indexes].concat().join(";\n");
        for word in ["jsonb", "bytea", "bigint", "uuid", "bool", "smallint", "text", "varchar"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["_text(", "blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
