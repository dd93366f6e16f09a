use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{Error, Store, entity::create_request};
use crate::domain::{id::ServiceAccountId, time::Timestamp};

/// A create that its caller may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateRequest {
    /// Chosen by the caller, unique in its account for 24 hours.
    pub id: Uuid,
    /// SHA-256 over method and message: the same id with another message is a mistake.
    pub fingerprint: [u8; 32],
}

/// What a request made when it came first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    Nothing,
    Made(String),
    /// The id was used for another message.
    Other,
}

const KEPT: Duration = Duration::from_hours(24);

pub(super) async fn find(
    db: &impl ConnectionTrait,
    account: ServiceAccountId,
    request: &CreateRequest,
    now: Timestamp,
) -> Result<Earlier, Error> {
    let row = create_request::Entity::find_by_id((account.to_string(), request.id)).all(db).await?.pop();
    Ok(match row.filter(|row| row.expire_time > now.micros()) {
        None => Earlier::Nothing,
        Some(row) if row.fingerprint == request.fingerprint => Earlier::Made(row.resource_id),
        Some(_) => Earlier::Other,
    })
}

pub(super) async fn put(
    db: &impl ConnectionTrait,
    account: ServiceAccountId,
    request: &CreateRequest,
    resource_id: String,
    now: Timestamp,
) -> Result<(), Error> {
    use create_request::Column as C;
    let row = create_request::ActiveModel {
        service_account_id: Set(account.to_string()),
        request_id: Set(request.id),
        fingerprint: Set(request.fingerprint.to_vec()),
        resource_id: Set(resource_id),
        expire_time: Set(now.checked_add(KEPT).unwrap_or(now).micros()),
    };
    let replace = OnConflict::columns([C::ServiceAccountId, C::RequestId])
        .update_columns([C::Fingerprint, C::ResourceId, C::ExpireTime])
        .to_owned();
    create_request::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}

impl Store {
    /// Forgets the requests of more than a day ago. Answers how many there were.
    pub async fn forget_requests(&self, before: Timestamp) -> Result<u64, Error> {
        let old = create_request::Column::ExpireTime.lt(before.micros());
        self.forget::<create_request::Entity>(create_request::Column::ExpireTime, Condition::all().add(old)).await
    }
}
