use std::{path::PathBuf, time::Duration};

use crate::{
    postgres::{Options, Sync},
    program,
};

/// The shortest lease that the server takes: what waits for it is soon over.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Another one, beside it.
pub(crate) const LONGER: Duration = Duration::from_secs(3);
/// How long a mutation waits at most for a replica that is silent.
pub(crate) const WAIT: Duration = LEASE.saturating_mul(21).checked_div(20).expect("not by zero");

/// What a test wants of its deployment.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) replicas: usize,
    pub(crate) standby: Option<Sync>,
    /// Of the replicas one after the other, and round again.
    pub(crate) leases: Vec<Duration>,
    /// Arguments of all replicas.
    pub(crate) more: Vec<String>,
    /// Whether the last replica is in a network of its own, where that is to be had.
    pub(crate) link: bool,
    pub(crate) database: Options,
    /// What migrates, begins, and serves.
    pub(crate) program: PathBuf,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            replicas: 3,
            standby: Some(Sync::Yes),
            leases: vec![LEASE],
            more: Vec::new(),
            link: false,
            database: Options { stepped: true, ..Options::default() },
            program: program::of_this_build(),
        }
    }
}

impl Wish {
    /// Two replicas are enough to see it.
    pub(crate) fn pair() -> Self {
        Self { replicas: 2, ..Self::default() }
    }

    pub(crate) fn with(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(ToString::to_string));
        self
    }

    /// Settings of the database's servers.
    pub(crate) fn database(mut self, settings: &[&str]) -> Self {
        self.database.settings.extend(settings.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn lease(mut self, lease: Duration) -> Self {
        self.leases = vec![lease];
        self
    }
}
