//! Restrictions, limits and usage of keys; plans of applications.

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
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["usage_source", "last_use", "usage_count", "budget"] {
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
    let list = |name: &'static str| json_binary(name).default("[]").to_owned();
    vec![
        ("api_key", list("ip_allowlist")),
        ("api_key", list("referrer_allowlist")),
        ("api_key", list("resource_allowlist")),
        ("api_key", list("rate_limits")),
        ("api_key", list("quotas")),
        ("application", string("plan").default("none").to_owned()),
        ("application", list("rate_limits")),
        ("application", big_integer("max_cache_ttl").default(0).to_owned()),
        ("replica", big_integer("edge_seq").default(0).to_owned()),
    ]
}

fn tables() -> Vec<TableCreateStatement> {
    vec![budget(), usage_count(), last_use(), usage_source()]
}

/// What was handed out of a limit or quota in its current window. `budget` is the id of the
/// first key of a chain, `span` is how long the window is (`60s`, `day`, `month`).
fn budget() -> TableCreateStatement {
    table("budget")
        .col(string("budget"))
        .col(string("span"))
        .col(big_integer("window_start"))
        .col(big_integer("window_end"))
        .col(big_integer("granted"))
        .primary_key(Index::create().col(Alias::new("budget")).col(Alias::new("span")))
        .to_owned()
}

/// Decided calls. `key_id` is empty for all of an application, texts that are no key of it
/// too; `unit` is `hour`, `day` or `month`, which begins at `start`.
fn usage_count() -> TableCreateStatement {
    table("usage_count")
        .col(string("application_id"))
        .col(string("key_id"))
        .col(string("unit"))
        .col(big_integer("start"))
        .col(string("verdict"))
        .col(big_integer("requests"))
        .primary_key(
            Index::create()
                .col(Alias::new("application_id"))
                .col(Alias::new("key_id"))
                .col(Alias::new("unit"))
                .col(Alias::new("start"))
                .col(Alias::new("verdict")),
        )
        .to_owned()
}

/// When a key, or any key of an application, was VALID last. Not in the key's row: to verify
/// never writes a key.
fn last_use() -> TableCreateStatement {
    table("last_use").col(string("id").primary_key()).col(big_integer("last_used_time")).to_owned()
}

/// Who counts, and the number of the last batch that was added: none is added twice.
fn usage_source() -> TableCreateStatement {
    table("usage_source").col(uuid("id").primary_key()).col(big_integer("batch")).col(big_integer("time")).to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("budget_by_end", "budget", &["window_end"]),
        index("usage_count_by_start", "usage_count", &["unit", "start"]),
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
        let tables = tables().iter().map(|table| table.to_string(PostgresQueryBuilder)).collect::<Vec<_>>();
        let columns = columns().into_iter().map(|(table, column)| {
            Table::alter().table(Alias::new(table)).add_column(column).to_string(PostgresQueryBuilder)
        });
        let all = tables.into_iter().chain(columns).collect::<Vec<_>>().join(";\n");
        for word in ["jsonb", "bigint", "uuid", "varchar", "DEFAULT '[]'"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["_text(", "blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
