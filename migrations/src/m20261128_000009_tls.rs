//! Service accounts that are known by the names in client certificates.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let names = json_binary("client_certificate_names").default("[]").to_owned();
        manager.alter_table(Table::alter().table(Alias::new("service_account")).add_column(names).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let names = Alias::new("client_certificate_names");
        manager.alter_table(Table::alter().table(Alias::new("service_account")).drop_column(names).to_owned()).await
    }
}
