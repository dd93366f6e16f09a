//! Several replicas on one database: what each can read and for how long it answers, and which run
//! of the server the log was written in.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DbBackend};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, column) in columns() {
            manager.alter_table(Table::alter().table(Alias::new(name)).add_column(column).to_owned()).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(BYTEWISE).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, column) in columns() {
            let column = Alias::new(column.get_column_name());
            manager.alter_table(Table::alter().table(Alias::new(name)).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

fn columns() -> Vec<(&'static str, ColumnDef)> {
    vec![
        // Microseconds: for how long it answers after it last proved that it is fresh.
        ("replica", big_integer("lease").default(0).to_owned()),
        // The newest version of events that it reads.
        ("replica", big_integer("reads").default(1).to_owned()),
        // The run of the server in which the log was written last, and since when.
        ("log_head", string("incarnation").default("").to_owned()),
        ("log_head", big_integer("since").default(0).to_owned()),
        // The newest version of events that may stand in the log.
        ("log_head", big_integer("version").default(1).to_owned()),
        // The oldest program that this schema still serves, by the number of its last migration.
        ("log_head", big_integer("serves_from").default(8).to_owned()),
    ]
}

/// Texts are compared by their bytes, as SQLite does, whatever the language of the database is.
const BYTEWISE: &str = r#"
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT c.table_name, c.column_name
        FROM information_schema.columns c
        JOIN information_schema.tables t USING (table_schema, table_name)
        WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
          AND c.data_type IN ('character varying', 'text') AND c.collation_name IS DISTINCT FROM 'C'
          AND c.table_name <> 'seaql_migrations'
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE text COLLATE "C"', found.table_name, found.column_name);
    END LOOP;
END
$$
"#;
