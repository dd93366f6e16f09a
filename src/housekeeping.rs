//! Forgets what nobody needs any more: nonces that no replay could use, requests of more
//! than a day ago, budgets of windows that are over, old usage, what was told a week ago, networks of
//! long ago, where sealed secrets were, and events that no watcher may go back to.

use std::{sync::Arc, time::Duration};

use crate::{
    limits::Budgets,
    replica::Replica,
    store::{Error, Store},
};

const EVERY: Duration = Duration::from_secs(60);
/// A clock that is set back by less opens no window a second time.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Runs until it is dropped. A round that fails is tried again a period later.
pub(crate) async fn run(store: Store, replica: Replica, budgets: Arc<Budgets>, history: Duration) {
    loop {
        tokio::time::sleep(EVERY).await;
        budgets.sweep();
        if let Err(error) = round(&store, &replica, history).await {
            tracing::warn!(%error, "housekeeping failed, trying again in a minute");
        }
    }
}

async fn round(store: &Store, replica: &Replica, history: Duration) -> Result<(), Error> {
    let now = replica.now();
    let nonces = store.forget_nonces(now).await?;
    let requests = store.forget_requests(now).await?;
    let budgets = store.forget_budgets(now.saturating_sub(DAY)).await?;
    let usage = store.forget_usage(now).await?;
    let given_up = store.give_up_deliveries(now.saturating_sub(7 * DAY)).await?;
    if given_up > 0 {
        tracing::warn!(deliveries = given_up, "not delivered in 7 days, and given up");
    }
    let deliveries = store.forget_deliveries(now.saturating_sub(7 * DAY)).await?;
    if deliveries.held > 0 {
        tracing::warn!(deliveries = deliveries.held, "not sent: their webhooks have been disabled for 7 days");
    }
    let deliveries = deliveries.rows;
    let seals = store.forget_seals(now).await?;
    let signals = store.forget_signals(now).await?;
    let events = store.compact(now.saturating_sub(history)).await?;
    tracing::debug!(nonces, requests, budgets, usage, deliveries, seals, signals, events, "housekeeping");
    Ok(())
}
