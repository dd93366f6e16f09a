use std::{sync::atomic::Ordering, time::Duration};

use super::Replica;
use crate::domain::refusal::Refusal;

/// How long a call waits for a lease that has lapsed.
const GRACE: Duration = Duration::from_millis(500);

impl Replica {
    /// Waits for a short time for the lease, if it has lapsed.
    pub async fn fresh(&self) -> Result<(), Refusal> {
        if self.is_fresh() {
            return Ok(());
        }
        let mut proof = self.shared.proof.subscribe();
        self.shared.bell.notify_one();
        let renewed = async {
            while !self.is_fresh() {
                if proof.changed().await.is_err() {
                    return;
                }
            }
        };
        if self.is_unconfirmed() {
            return Err(Refusal::RestoreUnconfirmed);
        }
        let _ = tokio::time::timeout(GRACE, renewed).await;
        match (self.is_fresh(), self.is_unconfirmed()) {
            (true, _) => Ok(()),
            (false, true) => Err(Refusal::RestoreUnconfirmed),
            (false, false) => Err(Refusal::FreshnessUnproven),
        }
    }

    /// Whether nothing is answered because the database was restored, and nobody has said what it lost.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.shared.unconfirmed.load(Ordering::Acquire)
    }
}
