use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{ExprTrait as _, OnConflict},
};

use super::{Error, codec, entity::api_key, usage};
use crate::domain::{
    id::{ApplicationId, KeyId},
    key::{Key, KeyEnvironment, oldest_first},
    page::PageRequest,
    secret::SecretHash,
    time::Timestamp,
};

/// Which keys of an application are wanted.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    pub show_revoked: bool,
    pub environment: Option<KeyEnvironment>,
    pub name_prefix: String,
    /// Only those that are good for something, and were neither made nor used after this moment.
    pub unused_since: Option<Timestamp>,
}

/// Of whichever application: for callers that are asked whether they may see it afterwards.
pub(super) async fn find_any(db: &impl ConnectionTrait, key: KeyId) -> Result<Option<Key>, Error> {
    api_key::Entity::find_by_id(key.to_string()).all(db).await?.pop().map(codec::key).transpose()
}

/// By what only its holders know.
pub(super) async fn find_by_hash(db: &impl ConnectionTrait, hash: &SecretHash) -> Result<Option<Key>, Error> {
    let query = api_key::Entity::find().filter(api_key::Column::SecretSha256.eq(hash.as_bytes().as_slice()));
    query.all(db).await?.pop().map(codec::key).transpose()
}

/// Every other query of keys is bound to an application: a key of another one is not found.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    key: KeyId,
) -> Result<Option<Key>, Error> {
    let query =
        api_key::Entity::find_by_id(key.to_string()).filter(api_key::Column::ApplicationId.eq(application.to_string()));
    // `.all()`: on SQLite `.one()` binds its LIMIT and has the statement prepared anew.
    query.all(db).await?.pop().map(codec::key).transpose()
}

/// Those with these ids, each by itself: one that does not read is an error of its own.
pub(super) async fn read_all(
    db: &impl ConnectionTrait,
    ids: Vec<String>,
) -> Result<HashMap<String, Result<Key, Error>>, Error> {
    let query = api_key::Entity::find().filter(api_key::Column::KeyId.is_in(ids));
    let rows = query.order_by_asc(api_key::Column::KeyId).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.key_id.clone(), codec::key(row))).collect())
}

/// All of a chain, oldest first.
pub(super) async fn chain(db: &impl ConnectionTrait, chain: KeyId) -> Result<Vec<Key>, Error> {
    let rows = api_key::Entity::find().filter(api_key::Column::Chain.eq(chain.to_string())).all(db).await?;
    Ok(oldest_first(rows.into_iter().map(codec::key).collect::<Result<_, _>>()?))
}

/// Those of a chain that have not ended.
pub(super) async fn good(db: &impl ConnectionTrait, chain: KeyId, now: Timestamp) -> Result<Vec<Key>, Error> {
    let of_chain = api_key::Entity::find().filter(api_key::Column::Chain.eq(chain.to_string()));
    let query = of_chain.filter(has_not_ended(now));
    let rows = query.order_by_asc(api_key::Column::KeyId).all(db).await?;
    rows.into_iter().map(codec::key).collect()
}

/// The one of a chain that has no successor.
pub(super) async fn newest(db: &impl ConnectionTrait, chain: KeyId) -> Result<Option<Key>, Error> {
    let of_chain = api_key::Entity::find().filter(api_key::Column::Chain.eq(chain.to_string()));
    of_chain.filter(api_key::Column::RotatedTo.is_null()).all(db).await?.pop().map(codec::key).transpose()
}

pub(super) async fn list(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    filter: &KeyFilter,
    page: &PageRequest,
    now: Timestamp,
) -> Result<Vec<Key>, Error> {
    let mut query = api_key::Entity::find().filter(api_key::Column::ApplicationId.eq(application.to_string()));
    if !filter.show_revoked {
        query = query.filter(has_not_ended(now));
    }
    if let Some(environment) = filter.environment {
        query = query.filter(api_key::Column::Environment.eq(codec::environment(environment)));
    }
    if !filter.name_prefix.is_empty() {
        query = query.filter(super::read::starts_with(api_key::Column::Name, &filter.name_prefix));
    }
    if let Some(since) = filter.unused_since {
        query = query
            .filter(has_not_ended(now))
            .filter(api_key::Column::CreateTime.lte(since.micros()))
            .filter(usage::used_after(since).not());
    }
    if let Some(after) = &page.after {
        query = query.filter(api_key::Column::KeyId.gt(after));
    }
    let rows = query.order_by_asc(api_key::Column::KeyId).limit(page.size + 1).all(db).await?;
    rows.into_iter().map(codec::key).collect()
}

/// Neither revoked, nor at the end of its overlap, whether that is written down yet or not.
fn has_not_ended(now: Timestamp) -> Condition {
    let end = api_key::Column::OverlapEndTime;
    let goes_on = Condition::any().add(end.is_null()).add(end.gt(now.micros()));
    Condition::all().add(api_key::Column::RevokeTime.is_null()).add(goes_on)
}

/// All keys of all applications, a page at a time, for the index.
pub(super) async fn load(db: &impl ConnectionTrait, after: &str, size: u64) -> Result<Vec<Key>, Error> {
    let query = api_key::Entity::find().filter(api_key::Column::KeyId.gt(after));
    let rows = query.order_by_asc(api_key::Column::KeyId).limit(size).all(db).await?;
    rows.into_iter().map(codec::key).collect()
}

pub(super) async fn put(db: &impl ConnectionTrait, row: api_key::Model) -> Result<(), Error> {
    use api_key::Column as C;
    let row = row.into_active_model().reset_all();
    let update = OnConflict::column(C::KeyId)
        .update_columns([
            C::Name,
            C::Description,
            C::Permissions,
            C::IpAllowlist,
            C::ReferrerAllowlist,
            C::ResourceAllowlist,
            C::RateLimits,
            C::Quotas,
            C::Labels,
            C::Disabled,
            C::UpdateTime,
            C::ExpireTime,
            C::Expired,
            C::RevokeTime,
            C::RevokeReason,
            C::RevokeComment,
            C::RotatedTo,
            C::OverlapEndTime,
            C::AutoRenew,
            C::Lifetime,
            C::RotationPeriod,
            C::NextRotationTime,
            C::RotationRecipientKid,
            C::Revision,
        ])
        .to_owned();
    api_key::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}
