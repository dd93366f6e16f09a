use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryOrder as _, QuerySelect as _,
};

use super::{Error, codec, entity::notice};
use crate::{
    domain::{notice::Notice, time::Timestamp},
    entropy::Entropy,
};

/// A notice as it will be sent.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) kind: String,
    pub(super) application_id: String,
    pub(super) key_id: Option<String>,
    pub(super) payload: String,
}

impl Written {
    pub(super) fn of(notice: &Notice, now: Timestamp) -> Self {
        Self {
            kind: notice.kind().to_owned(),
            application_id: notice.application_id.to_string(),
            key_id: Some(notice.key.id.to_string()),
            payload: codec::payload(notice, now),
        }
    }
}

/// Writes down what is to be told, in the transaction of what it tells.
pub(super) async fn put(
    db: &impl ConnectionTrait,
    entropy: &Entropy,
    now: Timestamp,
    notices: &[Notice],
) -> Result<(), Error> {
    append(db, entropy, now, notices.iter().map(|notice| Written::of(notice, now)).collect()).await
}

/// In this order.
pub(super) async fn append(
    db: &impl ConnectionTrait,
    entropy: &Entropy,
    now: Timestamp,
    notices: Vec<Written>,
) -> Result<(), Error> {
    if notices.is_empty() {
        return Ok(());
    }
    let last = notice::Entity::find().order_by_desc(notice::Column::Seq).limit(1).all(db).await?.pop();
    for (notice, seq) in notices.into_iter().zip(last.map_or(0, |last| last.seq) + 1..) {
        let Written { kind, application_id, key_id, payload } = notice;
        let notice_id = entropy.uuid(now)?;
        let row = notice::Model { notice_id, seq, time: now.micros(), kind, application_id, key_id, payload };
        notice::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    }
    Ok(())
}
