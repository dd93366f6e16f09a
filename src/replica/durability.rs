//! Whether the database keeps what it acknowledges, as each sync finds it.

use crate::{
    meters::{self, Weak},
    store::{Standbys, Synced, Weakness},
};

/// What was said of it last.
#[derive(Debug, Default)]
pub(super) struct Durability(Option<(Option<Weakness>, Standbys)>);

impl Durability {
    /// Tells what a sync found: once, and whenever it changes.
    pub(super) fn tell(&mut self, synced: &Synced) {
        let found = (synced.weakness, synced.standbys);
        meters::WEAKNESS.set(synced.weakness.map(|weakness| kind(weakness) as usize));
        meters::STANDBYS.set(synced.standbys.waited_for.into());
        meters::MEMBERS.set_count(synced.members.len());
        let before = self.0.replace(found);
        if before == Some(found) {
            return;
        }
        let (weakness, standbys) = found;
        if let Some(weakness) = weakness {
            tracing::warn!(%weakness, "revocations may be lost by the database: what this service promises does not hold then");
        } else if before.is_some_and(|(_, before)| before.synchronous) && !standbys.synchronous {
            tracing::warn!("commits wait for no standby any more: promote none of those that were there");
        } else if standbys.hang_on_one() {
            tracing::warn!(
                waited_for = standbys.waited_for,
                "less than two standbys are there that commits may wait for: when the last one stops, commits wait, and \
                 replicas stop answering; let one of two be enough"
            );
        }
        if standbys.synchronous && !standbys.sees {
            tracing::warn!(
                "the role may not see the standbys, so that nobody notices when a commit's wait for them is cancelled; \
                 grant it pg_read_all_stats"
            );
        }
    }
}

/// Of a database by which nothing is answered.
pub(super) fn refused(weakness: Weakness) {
    meters::WEAKNESS.set(Some(kind(weakness) as usize));
}

/// As it is counted.
fn kind(weakness: Weakness) -> Weak {
    match weakness {
        Weakness::NoFsync => Weak::NoFsync,
        Weakness::AsynchronousCommit(_) => Weak::AsynchronousCommit,
        Weakness::AsynchronousStandby => Weak::AsynchronousStandby,
        Weakness::LogicalStandby => Weak::LogicalStandby,
    }
}
