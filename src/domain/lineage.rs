//! Rotation: which key came from which. A key and those that were rotated from it are a
//! chain; they share limits, quotas and what is spent of them.

use std::time::Duration;

use super::{id::KeyId, time::Timestamp};

/// A key's place in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The first key of the chain, which names it.
    pub chain: KeyId,
    pub rotated_from: Option<KeyId>,
    /// None: it is the newest.
    pub successor: Option<Successor>,
}

/// The key that came after, and until when the one before it is good beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    pub key_id: KeyId,
    pub overlap_end_time: Timestamp,
}

/// How many keys of a chain may be good at once: a change of their limits is one of them all.
pub const MAX_GOOD: usize = 10;
/// How long an overlap may be.
pub const MAX_OVERLAP: Duration = Duration::from_hours(365 * 24);

impl Lineage {
    /// The end of an overlap that goes on until the successor's secret was fetched. Nobody else's
    /// reaches so far.
    pub const OPEN: Timestamp = Timestamp::MAX;

    /// Of a key that was not rotated from another.
    #[must_use]
    pub fn first(key: KeyId) -> Self {
        Self { chain: key, rotated_from: None, successor: None }
    }

    /// Whether the time beside the successor is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.successor.is_some_and(|successor| successor.overlap_end_time <= now)
    }
}
