//! What is due for keys: overlaps and lives that end, renewals, rotations, and what is told
//! of them ahead.

mod rotate;

use std::time::Duration;

use super::Job;
use crate::{
    domain::{
        act::Act,
        event::Cause,
        key::{Key, Revoked},
        notice::{Due, Notice, What},
        refusal::Refusal,
        schedule::Deed,
        timer::Timer,
    },
    entropy::Entropy,
    replica::Replica,
    store::{DueKey, Error, Store, Tx},
};

/// Looks at the keys whose time has come.
#[derive(Debug)]
pub struct KeyJob {
    store: Store,
    replica: Replica,
    entropy: Entropy,
}

/// Keys a transaction: no caller waits long behind it, and none of them is many events.
const KEYS: u64 = 100;
/// A key to which more than this happens at a moment is looked at again in the next round.
const DEEDS: usize = 8;
/// How long a key rests that cannot be read.
const REST: Duration = Duration::from_hours(1);

impl KeyJob {
    #[must_use]
    pub fn new(store: Store, replica: Replica, entropy: Entropy) -> Self {
        Self { store, replica, entropy }
    }
}

impl Job for KeyJob {
    const NAME: &'static str = "jobs/keys";
    /// What ends is told within a second.
    const EVERY: Duration = Duration::from_millis(250);

    async fn is_due(&mut self) -> Result<bool, Error> {
        // A successor of a key whose revocation was lost would be one more that nobody revoked.
        Ok(!self.replica.is_unconfirmed() && self.store.timers_are_due().await?)
    }

    async fn round(&mut self) -> Result<bool, Error> {
        let entropy = self.entropy.clone();
        let round = self.store.write(Act::job(Self::NAME), async move |tx| {
            let due = tx.due_keys(KEYS).await?;
            let more = due.len() as u64 == KEYS;
            for due in due {
                look_at(&tx, due, &entropy).await?;
            }
            Ok(more)
        });
        Ok(self.replica.announce(round.await.map_err(Box::new)?))
    }
}

/// Does for one key what is due. One that does not read keeps nobody else waiting.
async fn look_at(tx: &Tx, DueKey { key_id, timer, key }: DueKey, entropy: &Entropy) -> Result<(), Refusal> {
    match key {
        Ok(Some(key)) => Turn { tx, before: key.clone(), key, timer, cause: None }.take(entropy).await?,
        Ok(None) => tx.forget_timer(key_id),
        Err(error) => {
            tracing::error!(key_id, "a key does not read, nothing is done for it, tried again in an hour: {error}");
            tx.put_off(key_id, tx.now().checked_add(REST).unwrap_or(tx.now()));
        }
    }
    Ok(())
}

/// One key's turn.
struct Turn<'a> {
    tx: &'a Tx,
    before: Key,
    key: Key,
    timer: Timer,
    cause: Option<Cause>,
}

impl Turn<'_> {
    async fn take(mut self, entropy: &Entropy) -> Result<(), Refusal> {
        let (tx, now) = (self.tx, self.tx.now());
        let mut successor = None;
        for _ in 0..DEEDS {
            let next = self.timer.next_deed(&self.key, now).filter(|(at, _)| *at <= now);
            let Some((_, deed)) = next else { break };
            let was = self.key.clone();
            match deed {
                Deed::EndOverlap => self.end_overlap(),
                Deed::Expire => self.expire(),
                Deed::Renew => self.renew(),
                Deed::Rotate => match self.rotate(entropy).await {
                    Ok(made) => successor = made,
                    // Of this key alone, so that no other waits for it.
                    Err(Refusal::Internal | Refusal::ApplicationNotFound) => {
                        self.hold("something that it needs does not read; the line before says what");
                    }
                    Err(refusal) => return Err(refusal),
                },
            }
            if self.key != was {
                self.timer.follow(&was, &self.key, now);
            }
        }
        for (due, time) in self.timer.remind(&self.key, now) {
            self.tell(What::Expiring { due, time });
        }
        if self.timer.asks_for_use(&self.key, now) {
            self.ask_for_use().await?;
        }
        let Self { before, key, timer, cause, .. } = self;
        tx.save_timer(key.clone(), timer);
        match successor {
            Some(successor) => tx.save_rotation(before, key, successor),
            None if key != before => tx.save_key(Some(before), key, cause),
            None => {}
        }
        Ok(())
    }

    fn tell(&self, what: What) {
        self.tx.notify(Notice::of(&self.key, what));
    }

    fn end_overlap(&mut self) {
        if self.key.end_overlap(self.tx.now()) {
            self.cause = Some(Cause::Rotated);
            if let Some(Revoked { reason, comment, .. }) = self.key.revoked.clone() {
                self.tell(What::Revoked { reason, comment });
            }
        }
    }

    fn expire(&mut self) {
        self.key.expire(self.tx.now());
        self.cause = Some(Cause::Expired);
        if let Some(expire_time) = self.key.expire_time {
            self.tell(What::Expired { expire_time });
        }
    }

    fn renew(&mut self) {
        if let Some(expire_time) = self.key.renew(self.tx.now()) {
            self.tell(What::Renewed { expire_time });
        }
    }

    /// Nobody to seal it to: it is told, and tried again in a day.
    fn hold(&mut self, why: &str) {
        let key_id = self.key.id.to_string();
        tracing::warn!(key_id, "a key is not rotated by itself, tried again in a day: {why}");
        if let Some(rotation) = &self.key.upkeep.rotation {
            self.tell(What::Expiring { due: Due::Rotation, time: rotation.next_time });
        }
        self.timer.rotation_told = self.tx.now().max(self.timer.rotation_told);
        self.timer.hold(self.tx.now());
    }

    async fn ask_for_use(&mut self) -> Result<(), Refusal> {
        let last_used_time = self.tx.last_use(&self.key).await?;
        let since = last_used_time.map_or(self.key.create_time, |used| used.max(self.key.create_time));
        if self.timer.used(since, self.tx.now()) {
            self.tell(What::Unused { last_used_time });
        }
        Ok(())
    }
}
