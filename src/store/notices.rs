use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryOrder as _, QuerySelect as _,
};

use super::{Error, codec, entity::notice};
use crate::{
    domain::{notice::Notice, time::Timestamp},
    entropy::Entropy,
};

/// Writes down what is to be told, in the transaction of what it tells.
pub(super) async fn put(
    db: &impl ConnectionTrait,
    entropy: &Entropy,
    now: Timestamp,
    notices: &[Notice],
) -> Result<(), Error> {
    if notices.is_empty() {
        return Ok(());
    }
    let last = notice::Entity::find().order_by_desc(notice::Column::Seq).limit(1).all(db).await?.pop();
    for (notice, seq) in notices.iter().zip(last.map_or(0, |last| last.seq) + 1..) {
        let row = notice::Model {
            notice_id: entropy.uuid(now)?,
            seq,
            time: now.micros(),
            kind: notice.kind().to_owned(),
            application_id: notice.application_id.to_string(),
            key_id: Some(notice.key.id.to_string()),
            payload: codec::payload(notice, now),
        };
        notice::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    }
    Ok(())
}
