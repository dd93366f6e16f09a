use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sealed_secret")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_id: String,
    pub recipient_kid: String,
    pub ciphertext: Option<Vec<u8>>,
    pub create_time: i64,
    pub fetch_time: Option<i64>,
    pub remind_time: i64,
    pub gone_time: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(in crate::store) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
