use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
// In an event of a newer version a field may decide: this replica stops rather than pass over it.
#[serde(deny_unknown_fields)]
#[sea_orm(table_name = "application")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub application_id: String,
    #[sea_orm(column_type = "Text")]
    pub name: String,
    pub key_prefix: Option<String>,
    pub create_time: i64,
    pub update_time: i64,
    pub revision: i64,
    // Events of the first version do not have what follows.
    #[serde(default = "super::no_plan")]
    pub plan: String,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub rate_limits: Json,
    /// Microseconds.
    #[serde(default)]
    pub max_cache_ttl: i64,
    // Nor those of the second version this.
    /// Microseconds.
    #[serde(default = "super::usual_overlap")]
    pub overlap: i64,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub notify_emails: Json,
    #[serde(default = "super::usual_leak_policy")]
    pub leak_policy: String,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_object")]
    pub alert_thresholds: Json,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
