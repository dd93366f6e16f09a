use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sea_orm::DatabaseTransaction;

use super::{Error, Incarnation, Store, Tx, accounts, audit, connect::UNANSWERED, log, nonces, requests, tx};
use crate::domain::{
    account::ServiceAccount,
    act::{Act, Signer},
    id::Revision,
    refusal::Refusal,
    time::Timestamp,
};

/// Something that is durable, but that not every replica may answer by yet. Its value is
/// had from the barrier only, so that no mutation can forget to wait.
#[derive(Debug)]
#[must_use = "a mutation answers only after the barrier"]
pub struct Committed<T> {
    pub(crate) value: T,
    pub(crate) revision: Revision,
    /// When the commit was acknowledged, on the clock since boot.
    pub(crate) at: Duration,
    /// The run of the server that it was written in. In another one this revision may be another
    /// mutation.
    pub(crate) incarnation: Incarnation,
    /// Whether something is good for less than before, or was made so earlier by what this
    /// repeats.
    pub(crate) narrows: bool,
}

impl<T> Committed<T> {
    /// The value, where nobody is told that it is in effect: this process does not serve, or nobody
    /// asked for it.
    pub(crate) fn alone(self) -> T {
        self.value
    }
}

impl Store {
    /// The one way to change anything. In one transaction: spends the nonce, reads the
    /// caller again, lets `decide` read and note what to save, numbers the mutation, and
    /// writes rows, event and audit. Where `decide` refuses, nothing of it is written.
    ///
    /// Runs in a task of its own: a caller that goes away cannot leave half of it behind.
    pub async fn write<T, F, Fut>(&self, act: Act, decide: F) -> Result<Committed<T>, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(Tx) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Refusal>> + Send,
    {
        let store = self.clone();
        let work = async move { store.answered(UNANSWERED, store.write_here(&act, decide)).await };
        match tokio::spawn(work).await {
            Ok(answer) => answer,
            Err(error) => Err(Error::TaskLost(error.to_string()).into()),
        }
    }

    async fn write_here<T, F, Fut>(&self, act: &Act, decide: F) -> Result<Committed<T>, Refusal>
    where
        F: FnOnce(Tx) -> Fut,
        Fut: Future<Output = Result<T, Refusal>>,
    {
        let (_turn, db) = match act.signer {
            Some(_) => self.begin_write().await?,
            None => self.begin_patient_write().await?,
        };
        // First of all: one mutation at a time, over all replicas. What is read from here on holds
        // until the commit, and no two wait for each other in a circle.
        let head = log::take_head(&db).await?;
        let now = self.time(&db).await?;
        let actor = match &act.signer {
            Some(signer) => Some(prove(&db, signer, now).await?),
            None => None,
        };
        let inner = Arc::new(tx::Inner { db, now, head, actor, notes: Mutex::default() });
        let decided = decide(Tx { inner: Arc::clone(&inner) }).await;
        let inner = Arc::try_unwrap(inner).map_err(|_| Error::TaskLost("a transaction was kept".to_owned()))?;
        let value = match decided {
            Ok(value) => value,
            Err(refusal) => {
                inner.db.rollback().await.map_err(Error::from)?;
                return Err(refusal);
            }
        };
        let (narrows, incarnation) = (inner.narrows(), head.incarnation);
        let revision = self.finish(act, inner).await?;
        Ok(Committed { value, revision, at: self.inner.clock.boottime(), incarnation, narrows })
    }

    /// Numbers the mutation, writes it, and commits.
    async fn finish(&self, act: &Act, inner: tx::Inner) -> Result<Revision, Error> {
        let tx::Inner { db, now, head, notes, .. } = inner;
        let tx::Notes { saves, notices, asides, made, remarks, numbered } = notes.into_inner().unwrap_or_default();
        if let (Some((request, resource_id)), Some(signer)) = (made, &act.signer) {
            requests::put(&db, signer.account_id, &request, resource_id, now).await?;
        }
        let rings = !notices.is_empty() || saves.iter().any(|save| matches!(save, tx::Save::Webhook { .. }));
        // What nobody asked for, and what changed nothing, is no act, and not in it.
        let mut report = audit::Report::of(act, &saves, numbered);
        let revision = if saves.is_empty() && !numbered {
            head.revision
        } else {
            let revision = log::next_revision(&db).await?;
            let mut changes = Vec::with_capacity(saves.len());
            for (at, save) in saves.into_iter().enumerate() {
                save.time(&db, &asides, now).await?;
                let written = save.write(&db, revision).await?;
                report.add(at, written.before, written.after);
                changes.extend(written.change);
            }
            log::must_be_read(&db, &changes).await?;
            let event_id = self.inner.entropy.uuid(now)?;
            log::append(&db, tx::event_row(revision, event_id, now, &changes)?).await?;
            revision
        };
        report.remark(remarks);
        // Between the log and the audit: the order in which heads are taken.
        self.tell(&db, now, &notices).await?;
        for aside in asides {
            aside.write(&db, now).await?;
        }
        audit::put(&db, &self.inner.entropy, act, now, report.outcomes(revision)).await?;
        db.commit().await.map_err(Error::CommitUnknown)?;
        if rings {
            self.inner.told.notify_one();
        }
        Ok(revision)
    }
}

/// The account as it is now, if this signature may still act and was not used before. The
/// index that authentication went by is a moment older.
async fn prove(db: &DatabaseTransaction, signer: &Signer, now: Timestamp) -> Result<ServiceAccount, Refusal> {
    if crate::guard::on(crate::guard::Guard::Nonce) && !nonces::spend(db, &signer.nonce, now).await? {
        return Err(Refusal::NonceReused);
    }
    let account = accounts::find(db, signer.account_id).await?;
    let account = account.filter(|account| !account.disabled && account.key(&signer.kid).is_some());
    let account = account.ok_or(Refusal::SignatureInvalid)?;
    if signer.roles.is_empty() || account.has_one_of(signer.roles) {
        Ok(account)
    } else {
        Err(Refusal::RoleMissing(signer.roles))
    }
}
