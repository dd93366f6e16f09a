//! The secret of a key that the service made by itself, sealed to whoever is to have it.
//! Nothing here can open it.

use std::time::Duration;

use super::{id::KeyId, time::Timestamp};
use crate::signing::Kid;

/// Of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub key_id: KeyId,
    pub recipient: Kid,
    /// None: the key was used, or revoked, and nobody gets it any more.
    pub ciphertext: Option<Vec<u8>>,
    pub create_time: Timestamp,
    /// The first time. None: its recipient cannot have it yet, and needs the old key.
    pub fetch_time: Option<Timestamp>,
    /// When people are told that nobody has fetched it.
    pub remind_time: Timestamp,
    pub gone_time: Option<Timestamp>,
}

/// How often people are told.
const REMIND_EVERY: Duration = Duration::from_hours(24);

impl SealedSecret {
    #[must_use]
    pub fn new(key_id: KeyId, recipient: Kid, ciphertext: Vec<u8>, now: Timestamp) -> Self {
        Self {
            key_id,
            recipient,
            ciphertext: Some(ciphertext),
            create_time: now,
            fetch_time: None,
            remind_time: now.checked_add(REMIND_EVERY).unwrap_or(Timestamp::MAX),
            gone_time: None,
        }
    }

    /// Whether its recipient is still waited for.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.ciphertext.is_some() && self.fetch_time.is_none()
    }

    /// Whether people are told now that it was not fetched; once a day, however long it is due.
    pub fn remind(&mut self, now: Timestamp) -> bool {
        let due = self.is_awaited() && self.remind_time <= now;
        if due {
            self.remind_time = now.checked_add(REMIND_EVERY).unwrap_or(Timestamp::MAX);
        }
        due
    }

    /// Nobody gets it any more.
    pub fn end(&mut self, now: Timestamp) {
        self.ciphertext = None;
        self.gone_time = Some(now);
    }
}
