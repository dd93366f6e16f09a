use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};

use crate::domain::{act::Nonce, refusal::Refusal, time::Timestamp};

/// The nonces of signed calls that touch no database. Bounded: only proven callers get
/// here, at their limit of calls in a second.
#[derive(Debug, Default)]
pub(super) struct NonceMemory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    seen: HashSet<[u8; 32]>,
    by_expiry: BTreeSet<(Timestamp, [u8; 32])>,
}

/// About 55 accounts at 50 calls a second, all the time.
const MAX: usize = 1_000_000;

impl NonceMemory {
    /// Spends a nonce; `false` when it was spent before.
    pub(super) fn spend(&self, nonce: Nonce, now: Timestamp) -> Result<bool, Refusal> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(expire_time, hash)) = kept.by_expiry.first()
            && expire_time < now
        {
            kept.by_expiry.pop_first();
            kept.seen.remove(&hash);
        }
        if kept.seen.len() >= MAX {
            return Err(Refusal::Overloaded);
        }
        let fresh = kept.seen.insert(nonce.hash);
        if fresh {
            kept.by_expiry.insert((nonce.expire_time, nonce.hash));
        }
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_until_it_is_forgotten() {
        let memory = NonceMemory::default();
        let nonce = Nonce { hash: [1; 32], expire_time: Timestamp::from_seconds(10) };
        assert_eq!(memory.spend(nonce, Timestamp::from_seconds(0)), Ok(true));
        assert_eq!(memory.spend(nonce, Timestamp::from_seconds(10)), Ok(false));
        assert_eq!(memory.spend(nonce, Timestamp::from_seconds(11)), Ok(true));
    }
}
