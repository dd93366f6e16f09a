//! Optimistic concurrency: an etag names the revision that somebody read.

use crate::domain::{id::Revision, refusal::Refusal};

/// Refuses when an etag was sent and the thing has changed since.
pub(crate) fn must_match(etag: &str, revision: Revision) -> Result<(), Refusal> {
    if etag.is_empty() || etag == revision.etag() { Ok(()) } else { Err(Refusal::EtagMismatch) }
}
