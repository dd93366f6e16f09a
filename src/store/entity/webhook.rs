use sea_orm::entity::prelude::*;
use serde::Serialize;

/// As it stands in the audit log: without its secrets, encrypted as they are.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "webhook")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub webhook_id: String,
    pub application_id: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub url: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub event_types: Json,
    #[sea_orm(column_type = "Text")]
    pub description: String,
    /// Why; empty: it is not.
    pub disabled: String,
    /// Of the courier alone: no administrative act.
    #[serde(skip)]
    pub failing_since: Option<i64>,
    #[serde(skip)]
    pub secret: Vec<u8>,
    #[serde(skip)]
    pub old_secret: Option<Vec<u8>>,
    pub old_secret_until: Option<i64>,
    pub create_time: i64,
    pub update_time: i64,
    pub revision: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
