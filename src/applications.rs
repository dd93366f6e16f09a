//! What can be done with applications: one file a call.

mod create;
mod get;
mod list;
mod update;

use std::sync::Arc;

pub use create::NewApplication;
pub use list::ListApplications;
pub use update::UpdateApplication;

use crate::{entropy::Entropy, index::Index, replica::Replica, store::Store};

/// The tenants.
#[derive(Debug)]
pub struct Applications {
    store: Store,
    index: Arc<Index>,
    replica: Replica,
    entropy: Entropy,
}

impl Applications {
    #[must_use]
    pub fn new(store: Store, index: Arc<Index>, replica: Replica, entropy: Entropy) -> Self {
        Self { store, index, replica, entropy }
    }
}
