use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};

use super::{Error, codec, entity::application};
use crate::domain::{account::Scope, application::Application, id::ApplicationId, page::PageRequest};

pub(super) async fn find(db: &impl ConnectionTrait, id: ApplicationId) -> Result<Option<Application>, Error> {
    application::Entity::find_by_id(id.to_string()).all(db).await?.pop().map(codec::application).transpose()
}

/// Those in `scope`.
pub(super) async fn list(
    db: &impl ConnectionTrait,
    scope: &Scope,
    name_prefix: &str,
    page: &PageRequest,
) -> Result<Vec<Application>, Error> {
    let mut query = application::Entity::find();
    if let Scope::Only(ids) = scope {
        query = query.filter(application::Column::ApplicationId.is_in(ids.iter().map(ToString::to_string)));
    }
    if !name_prefix.is_empty() {
        query = query.filter(super::read::starts_with(application::Column::Name, name_prefix));
    }
    if let Some(after) = &page.after {
        query = query.filter(application::Column::ApplicationId.gt(after));
    }
    let rows = query.order_by_asc(application::Column::ApplicationId).limit(page.size + 1).all(db).await?;
    rows.into_iter().map(codec::application).collect()
}

/// All of them, for the index.
pub(super) async fn load(db: &impl ConnectionTrait) -> Result<Vec<Application>, Error> {
    application::Entity::find().all(db).await?.into_iter().map(codec::application).collect()
}

pub(super) async fn put(db: &impl ConnectionTrait, row: application::Model) -> Result<(), Error> {
    use application::Column as C;
    let row = row.into_active_model().reset_all();
    let update = OnConflict::column(C::ApplicationId)
        .update_columns([
            C::Name,
            C::Plan,
            C::RateLimits,
            C::MaxCacheTtl,
            C::KeyPrefix,
            C::Overlap,
            C::NotifyEmails,
            C::LeakPolicy,
            C::AlertThresholds,
            C::UpdateTime,
            C::Revision,
        ])
        .to_owned();
    application::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}
