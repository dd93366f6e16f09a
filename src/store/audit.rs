use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, prelude::Json};
use uuid::Uuid;

use super::{Error, Store, entity::audit_event, nonces};
use crate::domain::{act::Act, id::Revision, time::Timestamp};

/// What an act came to.
pub(super) enum Outcome {
    Done {
        revision: Revision,
        before: Option<Json>,
        after: Option<Json>,
    },
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
        Outcome::Refused(reason) => (None, reason, None, None),
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
        before: before.map(without_hash),
        after: after.map(without_hash),
    };
    audit_event::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
    Ok(())
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
            if nonces::spend(&tx, &nonce).await? {
                let now = store.database_time();
                put(&tx, store.inner.entropy.uuid(now)?, &act, now, Outcome::Refused(reason)).await?;
            }
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }
}
