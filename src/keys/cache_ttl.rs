use std::time::Duration;

use super::{Keys, Subject, VerifyKey, verify::Found};
use crate::replica::by_any_clock;

/// A shorter time is not worth keeping an answer for.
const LEAST: Duration = Duration::from_millis(1);

impl Keys {
    /// How long a verifier may answer this VALID again by itself, counted from before it asked:
    /// as long as the application lets it, the lease holds that the answer rests on, and the key
    /// does not end. A key with limits is asked for each time, since what is answered from
    /// a cache spends nothing.
    ///
    /// What is told here has been promised to those who wait for a revocation: they wait for it.
    pub(super) fn cache_ttl(&self, question: &VerifyKey, found: &Found) -> Option<Duration> {
        let VerifyKey { subject: Subject::Hash(hash) | Subject::Foreign(hash), may_cache: true, .. } = question else {
            return None;
        };
        let most = found.application.max_cache_ttl;
        if most.is_zero() || !found.limited().is_unlimited() {
            return None;
        }
        let begun = self.replica.boottime();
        // The lease before the promise, which looks the key up once more.
        let rest = self.replica.lease_rest(begun);
        let overlap_end = found.key.successor.as_ref().map(|successor| successor.overlap_end_time);
        let ends = [found.key.expire_time, overlap_end].into_iter().flatten().min();
        let expires = ends.map_or(Duration::MAX, |at| at.since(self.replica.now()));
        let ttl = most.min(rest).min(expires);
        let good = ttl >= LEAST && self.index.promise(hash, &found.key, &found.application, begun + by_any_clock(ttl));
        good.then_some(ttl)
    }
}
