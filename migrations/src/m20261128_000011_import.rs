//! Keys of other systems, known by their hashes.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Its text may be of any form, and is looked for where there is such a key.
        let column = boolean("imported").default(false).to_owned();
        manager.alter_table(Table::alter().table(Alias::new("api_key")).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Alias::new("imported");
        manager.alter_table(Table::alter().table(Alias::new("api_key")).drop_column(column).to_owned()).await
    }
}
