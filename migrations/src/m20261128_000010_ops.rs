//! What a restore leaves to be confirmed, and whether a head number is kept beside the file.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table(Alias::new("log_head")).add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            let column = Alias::new(column.get_column_name());
            manager.alter_table(Table::alter().table(Alias::new("log_head")).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

fn columns() -> Vec<ColumnDef> {
    vec![
        // When it was found that this is an older state than one that was there, in microseconds; 0: it is not,
        // or the operator has answered for what is lost.
        big_integer("restored").default(0).to_owned(),
        // The head as it was then.
        big_integer("restored_seq").default(0).to_owned(),
        // The last revision that is known to have been, 0 where none is.
        big_integer("lost_to").default(0).to_owned(),
        // Whether a head number is kept beside the file: where it is missing then, it was taken away.
        boolean("head_beside").default(false).to_owned(),
    ]
}
