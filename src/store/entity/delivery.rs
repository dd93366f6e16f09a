use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: String,
    pub channel: String,
    pub destination: String,
    pub notice_id: Uuid,
    pub seq: i64,
    pub kind: String,
    pub application_id: String,
    pub order_key: String,
    pub state: String,
    pub attempts: i32,
    pub create_time: i64,
    /// An attempt that fails then or later is the last one.
    pub give_up_time: i64,
    pub next_attempt_time: i64,
    pub claimed_by: Option<Uuid>,
    pub claimed_until: i64,
    pub last_attempt_time: Option<i64>,
    pub last_status: Option<i32>,
    #[sea_orm(column_type = "Text")]
    pub last_error: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
