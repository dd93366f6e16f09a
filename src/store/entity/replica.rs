use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replica")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub beat: i64,
    pub acked_seq: i64,
    /// Up to here no verifier answers by itself from before, either.
    pub edge_seq: i64,
    /// Microseconds: for how long it answers after it last proved that it is fresh.
    pub lease: i64,
    /// The newest version of events that it reads.
    pub reads: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
