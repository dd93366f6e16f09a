use std::time::Duration;

use crate::{
    postgres::{Options, Sync},
    program::Settings,
};

/// The shortest lease that the server takes: what waits for it is soon over.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long a mutation waits at most for a replica that is silent.
pub(crate) const WAIT: Duration = LEASE.saturating_mul(21).checked_div(20).expect("not by zero");

/// What a test wants of its deployment.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) replicas: usize,
    pub(crate) standby: Option<Sync>,
    pub(crate) settings: Settings,
    pub(crate) database: Options,
}

impl Default for Wish {
    fn default() -> Self {
        let settings = Settings { lease: LEASE, more: Vec::new() };
        Self { replicas: 3, standby: Some(Sync::Yes), settings, database: Options::default() }
    }
}

impl Wish {
    /// Two replicas are enough to see it.
    pub(crate) fn pair() -> Self {
        Self { replicas: 2, ..Self::default() }
    }

    pub(crate) fn with(mut self, more: &[&str]) -> Self {
        self.settings.more.extend(more.iter().map(ToString::to_string));
        self
    }

    /// Settings of the database's servers.
    pub(crate) fn database(mut self, settings: &[&str]) -> Self {
        self.database.settings.extend(settings.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }
}
