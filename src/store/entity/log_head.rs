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
    /// When it was found to be an older state than one that was there; 0: it is not, or somebody answered for it.
    pub restored: i64,
    /// The head as it was then.
    pub restored_seq: i64,
    /// The last revision that is known to have been; 0: none is.
    pub lost_to: i64,
    /// Whether a head number is kept beside the file.
    pub head_beside: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
