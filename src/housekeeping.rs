//! Forgets what nobody needs any more: nonces that no replay could use, requests of more
//! than a day ago, budgets of windows that are over, old usage, what was told a week ago, networks of
//! long ago, where sealed secrets were, and events that no watcher may go back to.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::time::Timestamp,
    limits::Budgets,
    meters,
    replica::Replica,
    store::{Error, GivenUp, Store},
};

const EVERY: Duration = Duration::from_secs(60);
/// Notices that wait are counted up to here.
const MANY: u64 = 10_000;
/// A clock that is set back by less opens no window a second time.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Runs until it is dropped. What fails is tried again a period later.
pub(crate) async fn run(store: Store, replica: Replica, budgets: Arc<Budgets>, history: Duration) {
    loop {
        match store.deliveries_waiting(MANY).await {
            Ok(waiting) => meters::NOTICES_WAITING.set_count(waiting),
            Err(error) => tracing::debug!(%error, "what waits to be told could not be counted"),
        }
        tokio::time::sleep(EVERY).await;
        budgets.sweep();
        round(&store, replica.now(), history).await;
    }
}

/// Every step by itself: one that fails, each time and for ever, lets no other table grow.
pub async fn round(store: &Store, now: Timestamp, history: Duration) {
    did("nonces", store.forget_nonces(now).await);
    did("requests", store.forget_requests(now).await);
    did("budgets", store.forget_budgets(now.saturating_sub(DAY)).await);
    did("usage", store.forget_usage(now).await);
    let mut given_up = GivenUp::default();
    let done = store.give_up_deliveries(now.saturating_sub(7 * DAY), &mut given_up).await;
    let GivenUp { webhooks, mail } = given_up;
    meters::GIVEN_UP.add(meters::Channel::Webhook as usize, webhooks);
    meters::GIVEN_UP.add(meters::Channel::Mail as usize, mail);
    if webhooks + mail > 0 {
        tracing::warn!(webhooks, mail, "not delivered in 7 days, and given up");
    }
    did("undelivered", done.map(|()| webhooks + mail));
    let deliveries = store.forget_deliveries(now.saturating_sub(7 * DAY)).await;
    if let Ok(forgotten) = &deliveries
        && forgotten.held > 0
    {
        tracing::warn!(deliveries = forgotten.held, "not sent: their webhooks have been disabled for 7 days");
    }
    did("deliveries", deliveries.map(|forgotten| forgotten.rows));
    did("seals", store.forget_seals(now).await);
    did("signals", store.forget_signals(now).await);
    did("events", store.compact(now.saturating_sub(history)).await);
}

fn did(step: &'static str, forgotten: Result<u64, Error>) {
    match forgotten {
        Ok(0) => {}
        Ok(rows) => tracing::debug!(step, rows, "forgot what nobody needs"),
        Err(error) => tracing::warn!(step, %error, "housekeeping failed at this, trying again in a minute"),
    }
}
