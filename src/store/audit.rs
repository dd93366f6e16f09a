//! The audit log: one event a mutation that somebody signed, and one that was refused after its
//! signature had passed; one a key of what a job does. Written in the transaction of what it tells, each behind the one
//! before: see `crate::chain`.

mod backlog;
mod head;
mod read;

use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, prelude::Json};
use uuid::Uuid;

use super::{Error, Store, entity::audit_event, nonces, tx::Save};
use crate::{
    chain::Record,
    domain::{
        act::{Act, Subject},
        id::Revision,
        time::Timestamp,
    },
    entropy::Entropy,
};

pub(super) use backlog::chain_backlog;
pub use read::{AuditFilter, Order};
pub(super) use read::{head, list};

/// What an act came to.
pub(super) enum Outcome {
    /// What was changed, before and after: one thing mostly, none where all was so already.
    Done { revision: Revision, subject: Subject, before: Vec<Json>, after: Vec<Json> },
    /// With the reason.
    Refused(&'static str),
}

/// In the column, where nothing was refused.
const DONE: &str = "OK";

/// What is noted of what was saved: of a signed act one event, whatever it changed, as it is
/// looked for by what it named. Nobody named what a job does: each thing is an event of its own,
/// so that it is found, by those who may see it.
pub(super) struct Report {
    deeds: Vec<Deed>,
}

struct Deed {
    subject: Subject,
    before: Vec<Json>,
    after: Vec<Json>,
}

impl Report {
    /// `numbered`: it is an event also where nothing is saved.
    pub(super) fn of(act: &Act, saves: &[Save], numbered: bool) -> Self {
        let deed = |saves| Deed { subject: subject_of(saves, act), before: Vec::new(), after: Vec::new() };
        let deeds = match act.signer {
            None if saves.is_empty() && numbered => vec![deed(saves)],
            None => saves.chunks(1).map(deed).collect(),
            Some(_) => vec![deed(saves)],
        };
        Self { deeds }
    }

    /// Of the save in this place.
    pub(super) fn add(&mut self, at: usize, before: Option<Json>, after: Option<Json>) {
        let last = self.deeds.len().saturating_sub(1);
        if let Some(deed) = self.deeds.get_mut(at.min(last)) {
            deed.before.extend(before);
            deed.after.extend(after);
        }
    }

    /// Beside what was saved.
    pub(super) fn remark(&mut self, remarks: Vec<Json>) {
        if let Some(deed) = self.deeds.last_mut() {
            deed.after.extend(remarks);
        }
    }

    pub(super) fn outcomes(self, revision: Revision) -> Vec<Outcome> {
        let done = |Deed { subject, before, after }| Outcome::Done { revision, subject, before, after };
        self.deeds.into_iter().map(done).collect()
    }
}

/// Appends an event for each outcome. The last statements before COMMIT: whoever appends next
/// waits for them.
pub(super) async fn put(
    db: &impl ConnectionTrait,
    entropy: &Entropy,
    act: &Act,
    time: Timestamp,
    outcomes: Vec<Outcome>,
) -> Result<(), Error> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(outcomes.len()).unwrap_or(i64::MAX);
    let (last, mut previous) = head::advance(db, count).await?;
    let mut rows = Vec::with_capacity(outcomes.len());
    for (seq, outcome) in (last - count + 1..).zip(outcomes) {
        let record = record_of(act, seq, entropy.uuid(time)?, time, outcome);
        let hash = record.hash(&previous).to_vec();
        rows.push(row(record, std::mem::replace(&mut previous, hash.clone()), hash).into_active_model().reset_all());
    }
    audit_event::Entity::insert_many(rows).exec_without_returning(db).await?;
    head::seal(db, &previous).await
}

fn record_of(act: &Act, seq: i64, id: Uuid, time: Timestamp, outcome: Outcome) -> Record {
    let (revision, subject, outcome, before, after) = match outcome {
        Outcome::Done { revision, subject, before, after } => (Some(revision.number()), subject, DONE, before, after),
        Outcome::Refused(reason) => (None, act.subject.clone(), reason, Vec::new(), Vec::new()),
    };
    Record {
        seq,
        audit_id: id,
        time: time.micros(),
        revision,
        service_account_id: act.signer.as_ref().map(|signer| signer.account_id.to_string()),
        kid: act.signer.as_ref().map(|signer| signer.kid.to_string()),
        method: act.method.to_owned(),
        request_id: act.request_id.to_string(),
        peer: act.peer.clone(),
        outcome: outcome.to_owned(),
        application_id: subject.application_id.map(|id| id.to_string()),
        resource: subject.resource,
        before: text(before),
        after: text(after),
    }
}

/// What is saved, for the event: the application where it is one, and the first thing that was
/// there before, as the key that is rotated. What changes nothing is about what was asked for.
fn subject_of(saves: &[Save], act: &Act) -> Subject {
    let was_there = saves.iter().find(|save| !save.is_new());
    let Some(first) = was_there.or(saves.first()) else { return act.subject.clone() };
    let application_id = first.application_id();
    let is_one = saves.iter().all(|save| save.application_id() == application_id);
    Subject { application_id: application_id.filter(|_| is_one), resource: Some(first.id()) }
}

fn row(record: Record, previous: Vec<u8>, hash: Vec<u8>) -> audit_event::Model {
    audit_event::Model {
        audit_id: record.audit_id,
        time: record.time,
        revision: record.revision,
        service_account_id: record.service_account_id,
        kid: record.kid,
        method: record.method,
        request_id: record.request_id,
        peer: record.peer,
        outcome: record.outcome,
        before: record.before,
        after: record.after,
        seq: Some(record.seq),
        previous_hash: Some(previous),
        hash: Some(hash),
        application_id: record.application_id,
        resource: record.resource,
    }
}

/// A JSON array, in the letters that are hashed; `None` when empty.
fn text(mut rows: Vec<Json>) -> Option<String> {
    rows.iter_mut().for_each(strip);
    (!rows.is_empty()).then(|| Json::Array(rows).to_string())
}

/// Takes out hashes of secrets, however deep they are: who reads the log could look for a
/// secret by them.
fn strip(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            fields.remove("secret_sha256");
            fields.values_mut().for_each(strip);
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

impl Store {
    /// Notes an act that was refused after its signature had passed, and spends its
    /// nonce. Does nothing when the nonce is spent already: then the act, or its
    /// refusal, has been noted.
    pub async fn record_refusal(&self, act: Act, reason: &'static str) -> Result<(), Error> {
        let Some(nonce) = act.signer.as_ref().map(|signer| signer.nonce) else { return Ok(()) };
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_write().await?;
            let now = store.time(&tx).await?;
            if nonces::spend(&tx, &nonce, now).await? {
                put(&tx, &store.inner.entropy, &act, now, vec![Outcome::Refused(reason)]).await?;
            }
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_hash_of_a_secret_is_noted_wherever_it_stands() {
        let rows = vec![json!({"a": 1, "secret_sha256": "x"}), json!([{"b": [{"secret_sha256": "y"}]}])];
        assert_eq!(text(rows).as_deref(), Some(r#"[{"a":1},[{"b":[{}]}]]"#));
        assert_eq!(text(Vec::new()), None);
    }
}
