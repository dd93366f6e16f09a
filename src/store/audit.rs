use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, prelude::Json};
use uuid::Uuid;

use super::{Error, Store, entity::audit_event, nonces};
use crate::domain::{act::Act, id::Revision, time::Timestamp};

/// What an act came to.
pub(super) enum Outcome {
    /// What was changed, before and after: one thing mostly, none where all was so already.
    Done { revision: Revision, before: Vec<Json>, after: Vec<Json> },
    /// With the reason.
    Refused(&'static str),
}

pub(super) async fn put(
    db: &impl ConnectionTrait,
    id: Uuid,
    act: &Act,
    time: Timestamp,
    outcome: Outcome,
) -> Result<(), Error> {
    let (revision, outcome, before, after) = match outcome {
        Outcome::Done { revision, before, after } => (Some(revision.number()), "OK", before, after),
        Outcome::Refused(reason) => (None, reason, Vec::new(), Vec::new()),
    };
    let row = audit_event::Model {
        audit_id: id,
        time: time.micros(),
        revision,
        service_account_id: act.signer.as_ref().map(|signer| signer.account_id.to_string()),
        kid: act.signer.as_ref().map(|signer| signer.kid.to_string()),
        method: act.method.to_owned(),
        request_id: act.request_id.to_string(),
        peer: act.peer.clone(),
        outcome: outcome.to_owned(),
        before: text(before),
        after: text(after),
    };
    audit_event::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    Ok(())
}

/// A JSON array, in the letters that a hash over it will be made from; `None` when empty.
fn text(rows: Vec<Json>) -> Option<String> {
    let rows: Vec<Json> = rows.into_iter().map(without_hash).collect();
    (!rows.is_empty()).then(|| Json::Array(rows).to_string())
}

fn without_hash(mut row: Json) -> Json {
    if let Some(fields) = row.as_object_mut() {
        fields.remove("secret_sha256");
    }
    row
}

impl Store {
    /// Notes an act that was refused after its signature had passed, and spends its
    /// nonce. Does nothing when the nonce is spent already: then the act, or its
    /// refusal, has been noted.
    pub async fn record_refusal(&self, act: Act, reason: &'static str) -> Result<(), Error> {
        let Some(nonce) = act.signer.as_ref().map(|signer| signer.nonce) else { return Ok(()) };
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            let now = store.database_time();
            if nonces::spend(&tx, &nonce, now).await? {
                put(&tx, store.inner.entropy.uuid(now)?, &act, now, Outcome::Refused(reason)).await?;
            }
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }
}
