//! What can be read of the audit log. Reading it is not noted in it.

mod list;

use std::sync::Arc;

pub use list::{AuditPage, ListAuditEvents};

use crate::{index::Index, store::Store};

/// The log of who did what. It is written by `store.write`, with what it tells.
#[derive(Debug)]
pub struct AuditLog {
    store: Store,
    index: Arc<Index>,
}

impl AuditLog {
    #[must_use]
    pub fn new(store: Store, index: Arc<Index>) -> Self {
        Self { store, index }
    }
}
