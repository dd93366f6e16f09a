//! Sealed secrets: forgotten with the first use of their key, and told of while nobody has
//! fetched them.

use std::time::Duration;

use super::Job;
use crate::{
    domain::{
        act::Act,
        notice::{Due, Notice, What},
        refusal::Refusal,
        seal::SealedSecret,
    },
    keys::close_overlap_before,
    replica::Replica,
    store::{Error, Store, Tx},
};

/// Looks after the secrets that wait to be fetched.
#[derive(Debug)]
pub struct SealJob {
    store: Store,
    replica: Replica,
}

/// Secrets a transaction.
const SEALS: u64 = 100;

impl SealJob {
    #[must_use]
    pub fn new(store: Store, replica: Replica) -> Self {
        Self { store, replica }
    }
}

impl Job for SealJob {
    const NAME: &'static str = "jobs/seals";
    const EVERY: Duration = Duration::from_secs(2);

    async fn is_due(&mut self) -> Result<bool, Error> {
        self.store.seals_are_due().await
    }

    async fn round(&mut self) -> Result<bool, Error> {
        let round = self.store.write(Act::job(Self::NAME), async move |tx| {
            let due = tx.due_seals(SEALS).await?;
            let more = due.len() as u64 == SEALS;
            for seal in due {
                look_at(&tx, seal).await?;
            }
            Ok(more)
        });
        Ok(self.replica.announce(round.await.map_err(Box::new)?))
    }
}

async fn look_at(tx: &Tx, mut seal: SealedSecret) -> Result<(), Refusal> {
    let now = tx.now();
    let key = match tx.any_key(seal.key_id).await {
        Ok(key) => key,
        // One that does not read: its secret is of no use, and keeps nobody else waiting.
        Err(Refusal::Internal) => None,
        Err(refusal) => return Err(refusal),
    };
    let Some(key) = key else {
        seal.end(now);
        tx.save_seal(seal);
        return Ok(());
    };
    if key.is_revoked(now) || tx.last_use(&key).await?.is_some() {
        // Nobody will fetch it any more, and the key before it waits for nobody.
        match close_overlap_before(&key, tx).await {
            // What does not read keeps nobody else waiting, and is in the log.
            Ok(()) | Err(Refusal::Internal | Refusal::ApplicationNotFound) => {}
            Err(refusal) => return Err(refusal),
        }
        seal.end(now);
    } else if seal.remind(now) {
        let time = seal.create_time;
        tx.notify(Notice::of(&key, What::Expiring { due: Due::Rotation, time }));
    }
    tx.save_seal(seal);
    Ok(())
}
