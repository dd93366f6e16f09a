use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
// In an event of a newer version a field may decide: this replica stops rather than pass over it.
#[serde(deny_unknown_fields)]
#[sea_orm(table_name = "api_key")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_id: String,
    pub application_id: String,
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub description: String,
    pub key_type: String,
    pub environment: String,
    pub prefix: String,
    #[sea_orm(unique)]
    #[serde(with = "super::base64_bytes")]
    pub secret_sha256: Vec<u8>,
    pub hash_version: i16,
    #[sea_orm(column_type = "JsonBinary")]
    pub permissions: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub labels: Json,
    pub disabled: bool,
    pub create_time: i64,
    pub update_time: i64,
    pub expire_time: Option<i64>,
    pub revoke_time: Option<i64>,
    pub revoke_reason: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub revoke_comment: String,
    pub created_by: String,
    pub revision: i64,
    // Events of the first version do not have what follows.
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub ip_allowlist: Json,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub referrer_allowlist: Json,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub resource_allowlist: Json,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub rate_limits: Json,
    #[sea_orm(column_type = "JsonBinary")]
    #[serde(default = "super::empty_list")]
    pub quotas: Json,
    // Nor those of the second version this.
    #[serde(default)]
    pub chain: String,
    #[serde(default)]
    pub rotated_from: Option<String>,
    #[serde(default)]
    pub rotated_to: Option<String>,
    #[serde(default)]
    pub overlap_end_time: Option<i64>,
    #[serde(default)]
    pub expired: bool,
    #[serde(default)]
    pub auto_renew: bool,
    /// Microseconds, as the one below.
    #[serde(default)]
    pub lifetime: Option<i64>,
    #[serde(default)]
    pub rotation_period: Option<i64>,
    #[serde(default)]
    pub next_rotation_time: Option<i64>,
    #[serde(default)]
    pub rotation_recipient_kid: Option<String>,
    // Version 3. It stands in events only where it says something.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
