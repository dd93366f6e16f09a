use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
// In an event of a newer version a field may decide: this replica stops rather than pass over it.
#[serde(deny_unknown_fields)]
#[sea_orm(table_name = "service_account")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub service_account_id: String,
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[sea_orm(unique)]
    pub client_email: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub roles: Json,
    pub all_applications: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub application_ids: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub grantable_permissions: Json,
    pub disabled: bool,
    pub create_time: i64,
    pub update_time: i64,
    pub revision: i64,
    // Events of before version 4 do not have it, and later ones only where there are names.
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list", skip_serializing_if = "super::is_empty_list")]
    pub client_certificate_names: Json,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
