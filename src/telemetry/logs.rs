//! Log lines on their way to the collector: as bounded as spans are, see `spans`.
//!
//! Lines of this program only. What sends them logs too (h2, hyper, tonic, OpenTelemetry): taken
//! along, each export would make the lines of the next one.

use std::{sync::Arc, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord},
};
use tokio::runtime::Handle;
use tracing::Metadata;

use super::{
    export::{BATCH, DELAY, EXPORT_TIMEOUT},
    failures::{Failures, Room},
};
use crate::meters::Signal;

/// Lines that wait to be sent; what comes on top is dropped there, and stands in the log all the same.
const QUEUE: usize = 4096;

/// Whether a line is sent: it is one of ours.
pub(super) fn is_sent(meta: &Metadata<'_>) -> bool {
    meta.is_event() && (meta.target() == "portcullis" || meta.target().starts_with("portcullis::"))
}

/// Takes lines while there is room for them.
pub(super) fn processor(exporter: impl LogExporter + 'static, runtime: Handle) -> impl LogProcessor {
    let room = Arc::new(Room::new(Signal::Logs, QUEUE));
    // Its own queue is never full, so that all that is dropped is counted.
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE + BATCH)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let failures = Failures::new(Signal::Logs);
    let watched = Watched { inner: exporter, runtime, failures, room: Arc::clone(&room) };
    Bounded { inner: BatchLogProcessor::builder(watched).with_batch_config(queue).build(), room }
}

#[derive(Debug)]
struct Bounded {
    inner: BatchLogProcessor,
    room: Arc<Room>,
}

impl LogProcessor for Bounded {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.room.enter() {
            self.inner.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Bounds each export, and tells of failures.
#[derive(Debug)]
struct Watched<E> {
    inner: E,
    runtime: Handle,
    failures: Failures,
    room: Arc<Room>,
}

impl<E: LogExporter> LogExporter for Watched<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let lines = batch.iter().count();
        self.room.leave(lines);
        let export = {
            let _entered = self.runtime.enter(); // the timer belongs to it; this thread has none
            tokio::time::timeout(EXPORT_TIMEOUT, self.inner.export(batch))
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)));
        self.failures.note(&result, lines as u64);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
