//! The life of keys: chains of rotated keys, renewal, and what is told of it; who does
//! what is done in time.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            // A column at a time: SQLite takes no more.
            manager.alter_table(Table::alter().table(Alias::new(table)).add_column(column).to_owned()).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        // A key that was never rotated is a chain of its own; how long it was made for is
        // what it had on its first day, as far as that shows.
        let known = [
            "UPDATE api_key SET chain = key_id",
            "UPDATE api_key SET lifetime = expire_time - create_time WHERE expire_time IS NOT NULL",
        ];
        for statement in known {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("api_key_by_chain").table(Alias::new("api_key")).to_owned()).await?;
        for name in ["notice", "job_claim"] {
            manager.drop_table(Table::drop().table(Alias::new(name)).to_owned()).await?;
        }
        for (table, column) in columns() {
            let drop = Table::alter().table(Alias::new(table)).drop_column(column.get_column_name()).to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}

fn columns() -> Vec<(&'static str, ColumnDef)> {
    vec![
        // The id of its first key.
        ("api_key", string("chain").default("").to_owned()),
        ("api_key", string_null("rotated_from").to_owned()),
        ("api_key", string_null("rotated_to").to_owned()),
        ("api_key", big_integer_null("overlap_end_time").to_owned()),
        // It was told that it expired.
        ("api_key", boolean("expired").default(false).to_owned()),
        ("api_key", boolean("auto_renew").default(false).to_owned()),
        // Microseconds, as the two below.
        ("api_key", big_integer_null("lifetime").to_owned()),
        ("api_key", big_integer_null("rotation_period").to_owned()),
        ("api_key", big_integer_null("next_rotation_time").to_owned()),
        ("api_key", string_null("rotation_recipient_kid").to_owned()),
        // 48 hours.
        ("application", big_integer("overlap").default(172_800_000_000_i64).to_owned()),
        ("application", json_binary("notify_emails").default("[]").to_owned()),
        ("application", string("leak_policy").default("alert").to_owned()),
        ("application", json_binary("alert_thresholds").default("{}").to_owned()),
    ]
}

fn tables() -> Vec<TableCreateStatement> {
    vec![notice(), job_claim()]
}

/// What is to be told, in the order in which it happened.
fn notice() -> TableCreateStatement {
    table("notice")
        .col(uuid("notice_id").primary_key())
        .col(big_integer_uniq("seq"))
        .col(big_integer("time"))
        .col(string("kind"))
        .col(string("application_id"))
        .col(string_null("key_id"))
        .col(text("payload"))
        .to_owned()
}

/// Which process does a job, until when.
fn job_claim() -> TableCreateStatement {
    table("job_claim").col(string("job").primary_key()).col(uuid("holder")).col(big_integer("until_time")).to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let chain =
        Index::create().name("api_key_by_chain").table(Alias::new("api_key")).col(Alias::new("chain")).to_owned();
    vec![chain]
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_type_exists_on_postgresql_too() {
        let tables = tables().iter().map(|table| table.to_string(PostgresQueryBuilder)).collect::<Vec<_>>();
        let columns = columns().into_iter().map(|(table, column)| {
            Table::alter().table(Alias::new(table)).add_column(column).to_string(PostgresQueryBuilder)
        });
        let all = tables.into_iter().chain(columns).collect::<Vec<_>>().join(";\n");
        for word in ["jsonb", "bigint", "uuid", "varchar", "bool", "DEFAULT '[]'", "DEFAULT FALSE"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["_text(", "blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
