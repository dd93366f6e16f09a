use std::{collections::BTreeMap, time::Duration};

use super::{Decided, Series};
use crate::domain::{id::KeyId, key::Key, time::Timestamp, verdict::Verdict};

/// What was decided over all keys of a chain in a range, together and key by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainUsage {
    pub series: Series,
    /// Those of keys that were called in the range.
    decided: BTreeMap<KeyId, Decided>,
    /// The last VALID verdicts, in the range or not.
    last_uses: BTreeMap<KeyId, Timestamp>,
}

/// A key's part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShare {
    pub key_id: KeyId,
    pub decided: Decided,
    pub last_used_time: Option<Timestamp>,
}

/// How far callers have moved from a key to its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub old: KeyShare,
    pub new: KeyShare,
    pub overlap_end_time: Timestamp,
    /// Nobody will miss the old key.
    pub safe_to_end: bool,
}

/// A key that nobody was admitted by for so long may be ended.
const QUIET: Duration = Duration::from_hours(24);

impl ChainUsage {
    pub fn add(&mut self, key: KeyId, start: Timestamp, verdict: Verdict, count: u64) {
        self.series.add(start, verdict, count);
        self.decided.entry(key).or_default().add(verdict, count);
    }

    pub fn used(&mut self, key: KeyId, last: Timestamp) {
        self.last_uses.insert(key, last);
    }

    #[must_use]
    pub fn share(&self, key_id: KeyId) -> KeyShare {
        let decided = self.decided.get(&key_id).cloned().unwrap_or_default();
        KeyShare { key_id, decided, last_used_time: self.last_uses.get(&key_id).copied() }
    }

    /// The parts of those keys of the chain, oldest first, that were called or have not ended:
    /// newest first.
    #[must_use]
    pub fn shares(&self, chain: &[Key], now: Timestamp) -> Vec<KeyShare> {
        let counts = |key: &&Key| self.decided.contains_key(&key.id) || !key.is_revoked(now);
        chain.iter().rev().filter(counts).map(|key| self.share(key.id)).collect()
    }

    /// From this key of the chain to the one after it; else to it, from one that is in its overlap.
    #[must_use]
    pub fn movement(&self, chain: &[Key], of: &Key, now: Timestamp) -> Option<Move> {
        let before = chain.iter().find(|key| Some(key.id) == of.lineage.rotated_from && !key.is_revoked(now));
        let old = if of.lineage.successor.is_some() { of } else { before? };
        let successor = old.lineage.successor?;
        let (old_share, new) = (self.share(old.id), self.share(successor.key_id));
        let quiet = old_share.last_used_time.is_none_or(|last| now.since(last) >= QUIET);
        Some(Move {
            old: old_share,
            new,
            overlap_end_time: successor.overlap_end_time,
            safe_to_end: quiet || old.is_revoked(now),
        })
    }
}
