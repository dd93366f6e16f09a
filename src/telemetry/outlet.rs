//! What every kind of export has: how much may wait for it, how long it may take, and what is said when
//! it fails. Spans and log lines differ in the traits of the SDK that they go through, and in nothing else.

use std::sync::Arc;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::Handle;

use super::{
    export::EXPORT_TIMEOUT,
    failures::{Failures, Room},
};
use crate::meters::Signal;

/// What waits to be sent, about 1 KiB each; what comes on top is dropped.
pub(super) const QUEUE: usize = 4096;

#[derive(Debug)]
pub(super) struct Outlet {
    room: Arc<Room>,
    runtime: Handle,
    failures: Failures,
}

impl Outlet {
    /// And the room before it.
    pub(super) fn new(signal: Signal, runtime: Handle) -> (Self, Arc<Room>) {
        let room = Arc::new(Room::new(signal, QUEUE));
        (Self { room: Arc::clone(&room), runtime, failures: Failures::new(signal) }, room)
    }

    /// Sends so many, and gives it up in time.
    pub(super) async fn send(&self, items: usize, export: impl Future<Output = OTelSdkResult>) -> OTelSdkResult {
        self.room.leave(items);
        let export = {
            let _entered = self.runtime.enter(); // the timer belongs to it; this thread has none
            tokio::time::timeout(EXPORT_TIMEOUT, export)
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)));
        self.failures.note(&result, items as u64);
        result
    }
}
