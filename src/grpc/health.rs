use std::{collections::BTreeSet, time::Duration};

use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    auth::{METHODS, Method},
    replica::Replica,
};

/// The services by name: SERVING inside the lease, NOT_SERVING outside it and once the
/// server drains. The empty name is the process itself: a replica that lost its database
/// must be left alone, not restarted.
pub(super) async fn report(reporter: HealthReporter, replica: Replica, mut draining: watch::Receiver<bool>) {
    const LOOK_EVERY: Duration = Duration::from_millis(250);
    // Whatever has a method that somebody may call.
    let services: BTreeSet<&str> = METHODS.iter().map(Method::service).collect();
    let mut told = None;
    loop {
        let drains = *draining.borrow_and_update();
        let serves = replica.is_fresh() && !drains;
        if told != Some(serves) {
            let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in services.iter().copied() {
                reporter.set_service_status(service, status).await;
            }
            told = Some(serves);
        }
        if drains {
            return;
        }
        tokio::select! {
            changed = draining.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
