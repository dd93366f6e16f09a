use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "log_head")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    pub log_id: Uuid,
    pub seq: i64,
    /// The run of the server in which it was written last; and since when by the server's clock, which is
    /// for people, or 0 once a replica has seen that run for longer than any lease lasts.
    pub incarnation: String,
    pub since: i64,
    /// The newest version of events that may stand in the log.
    pub version: i64,
    /// The oldest program that the schema serves, by the number of its last migration.
    pub serves_from: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
