use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, sea_query::OnConflict,
};

use super::{
    Error, codec,
    entity::{service_account, service_account_key},
};
use crate::{
    domain::{account::ServiceAccount, id::ServiceAccountId},
    signing::Kid,
};

pub(super) async fn find(db: &impl ConnectionTrait, id: ServiceAccountId) -> Result<Option<ServiceAccount>, Error> {
    let Some(row) = service_account::Entity::find_by_id(id.to_string()).all(db).await?.pop() else { return Ok(None) };
    let keys = service_account_key::Entity::find()
        .filter(service_account_key::Column::ServiceAccountId.eq(id.to_string()))
        .order_by_asc(service_account_key::Column::CreateTime)
        .order_by_asc(service_account_key::Column::Kid)
        .all(db)
        .await?;
    codec::account(row, keys).map(Some)
}

/// Whose key it is.
pub(super) async fn owner(db: &impl ConnectionTrait, kid: &Kid) -> Result<Option<ServiceAccountId>, Error> {
    let row = service_account_key::Entity::find_by_id(kid.as_str()).all(db).await?.pop();
    row.map(|row| row.service_account_id.parse().map_err(|_| Error::Corrupt(row.service_account_id))).transpose()
}

/// All of them, oldest first. They are few: people and machines that call, not their keys.
pub(super) async fn load(db: &impl ConnectionTrait, name_prefix: &str) -> Result<Vec<ServiceAccount>, Error> {
    let mut query = service_account::Entity::find();
    if !name_prefix.is_empty() {
        query = query.filter(super::read::starts_with(service_account::Column::Name, name_prefix));
    }
    let rows = query.order_by_asc(service_account::Column::ServiceAccountId).all(db).await?;
    let mut keys: HashMap<String, Vec<service_account_key::Model>> = HashMap::new();
    let all = service_account_key::Entity::find()
        .order_by_asc(service_account_key::Column::CreateTime)
        .order_by_asc(service_account_key::Column::Kid);
    for key in all.all(db).await? {
        keys.entry(key.service_account_id.clone()).or_default().push(key);
    }
    let read = |row: service_account::Model| {
        let keys = keys.remove(&row.service_account_id).unwrap_or_default();
        codec::account(row, keys)
    };
    rows.into_iter().map(read).collect()
}

pub(super) async fn put(
    db: &impl ConnectionTrait,
    row: service_account::Model,
    keys: Vec<service_account_key::Model>,
) -> Result<(), Error> {
    use service_account::Column as C;
    let id = row.service_account_id.clone();
    let row = row.into_active_model().reset_all();
    let update = OnConflict::column(C::ServiceAccountId)
        .update_columns([
            C::Name,
            C::Roles,
            C::AllApplications,
            C::ApplicationIds,
            C::GrantablePermissions,
            C::ClientCertificateNames,
            C::Disabled,
            C::UpdateTime,
            C::Revision,
        ])
        .to_owned();
    service_account::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    service_account_key::Entity::delete_many()
        .filter(service_account_key::Column::ServiceAccountId.eq(id))
        .exec(db)
        .await?;
    if !keys.is_empty() {
        let keys = keys.into_iter().map(|key| key.into_active_model().reset_all());
        service_account_key::Entity::insert_many(keys).exec_without_returning(db).await?;
    }
    Ok(())
}
