//! The chain of the audit log, and what it is looked through by. What was written before is
//! chained by the server's own code, behind the migrations: a hash is not SQL.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

const LOG: &str = "audit_event";
const HEAD: &str = "audit_head";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            // A column at a time: SQLite takes no more.
            manager.alter_table(Table::alter().table(Alias::new(LOG)).add_column(column).to_owned()).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        manager.create_table(head()).await?;
        // Of an empty log: before the first event stand 32 zero bytes.
        let begin = Query::insert()
            .into_table(Alias::new(HEAD))
            .columns(["id", "seq", "hash"].map(Alias::new))
            .values_panic([1.into(), 0.into(), vec![0_u8; 32].into()])
            .to_owned();
        manager.execute(begin).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Alias::new(HEAD)).to_owned()).await?;
        for index in indexes() {
            let name = index.get_index_spec().get_name().unwrap_or_default().to_owned();
            manager.drop_index(Index::drop().name(name).table(Alias::new(LOG)).to_owned()).await?;
        }
        for column in columns() {
            let drop = Table::alter().table(Alias::new(LOG)).drop_column(column.get_column_name()).to_owned();
            manager.alter_table(drop).await?;
        }
        Ok(())
    }
}

/// `seq` is the place in the chain, from 1 on. Null in what an older version wrote, until it
/// is chained. `previous_hash` is that of the event before: an event that is taken from the
/// middle can be held against its own hash.
fn columns() -> Vec<ColumnDef> {
    vec![
        big_integer_null("seq"),
        binary_null("previous_hash"),
        binary_null("hash"),
        string_null("application_id"),
        string_null("resource"),
    ]
}

/// The one end of the chain.
fn head() -> TableCreateStatement {
    Table::create()
        .table(Alias::new(HEAD))
        .col(small_integer("id").primary_key())
        .col(big_integer("seq"))
        .col(binary("hash"))
        .to_owned()
}

/// By place within whatever is asked for: a list is in the order of the chain.
fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("audit_event_by_seq", &["seq"]).unique().to_owned(),
        index("audit_event_by_application", &["application_id", "seq"]),
        index("audit_event_by_resource", &["resource", "seq"]),
        index("audit_event_by_account", &["service_account_id", "seq"]),
        index("audit_event_by_method", &["method", "seq"]),
        index("audit_event_by_outcome", &["outcome", "seq"]),
    ]
}

fn index(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(Alias::new(LOG)).to_owned();
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
        let columns = columns()
            .into_iter()
            .map(|column| Table::alter().table(Alias::new(LOG)).add_column(column).to_string(PostgresQueryBuilder));
        let all = columns.chain([head().to_string(PostgresQueryBuilder)]).collect::<Vec<_>>().join(";\n");
        for word in ["bytea", "bigint", "smallint", "varchar"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        for word in ["_text(", "blob", "tinyint", "datetime"] {
            assert!(!all.contains(word), "{word} in {all}");
        }
    }
}
