//! What is unlike before: the networks that keys are known in, what was told of them when,
//! and how much each application was told in an hour.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_index(Index::drop().name("sealed_secret_by_gone_time").table(Alias::new("sealed_secret")).to_owned())
            .await?;
        for name in ["alert_hour", "alert", "key_network"] {
            manager.drop_table(Table::drop().table(Alias::new(name)).to_owned()).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    vec![key_network(), alert(), alert_hour()]
}

/// Where the keys of a chain were good before.
fn key_network() -> TableCreateStatement {
    table("key_network")
        .col(string("chain"))
        .col(string("network"))
        .col(big_integer("first_time"))
        .col(big_integer("last_time"))
        .primary_key(Index::create().col(Alias::new("chain")).col(Alias::new("network")))
        .to_owned()
}

/// When something of a kind was told of a key, or of a chain, and how often it was not since.
fn alert() -> TableCreateStatement {
    table("alert")
        .col(string("key_id"))
        .col(string("kind"))
        .col(string("detail"))
        .col(big_integer("last_time"))
        .col(big_integer("held"))
        .primary_key(Index::create().col(Alias::new("key_id")).col(Alias::new("kind")).col(Alias::new("detail")))
        .to_owned()
}

/// How much of a kind an application was told in an hour, and the last that it was not.
fn alert_hour() -> TableCreateStatement {
    table("alert_hour")
        .col(string("application_id"))
        .col(string("kind"))
        .col(big_integer("hour"))
        .col(big_integer("told"))
        .col(big_integer("held"))
        .col(string_null("key_id"))
        .col(text_null("payload"))
        .primary_key(Index::create().col(Alias::new("application_id")).col(Alias::new("kind")))
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(Alias::new(table)).to_owned();
        for column in columns {
            index.col(Alias::new(*column));
        }
        index
    };
    vec![
        index("key_network_by_time", "key_network", &["last_time"]),
        index("alert_by_time", "alert", &["last_time"]),
        // Those that are not gone are looked at every other second, and those that are gone for
        // long are forgotten.
        index("sealed_secret_by_gone_time", "sealed_secret", &["gone_time", "key_id"]),
    ]
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_type_exists_on_postgresql_too() {
        let tables: Vec<_> = tables().iter().map(|table| table.to_string(PostgresQueryBuilder)).collect();
        let indexes: Vec<_> = indexes().iter().map(|index| index.to_string(PostgresQueryBuilder)).collect();
        let all = [tables, indexes].concat().join(";\n");
        for word in ["bigint", "varchar", "text"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["_text(", "blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
