//! Log lines on their way to the collector: as bounded as spans are, see `spans`.
//!
//! Lines of this program only. What sends them logs too (h2, hyper, tonic, OpenTelemetry): taken
//! along, each export would make the lines of the next one.

use std::{sync::Arc, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord},
};
use tokio::runtime::Handle;
use tracing::Metadata;

use super::{
    export::{BATCH, DELAY},
    failures::Room,
    outlet::{Outlet, QUEUE},
};
use crate::meters::Signal;

/// Whether a line is sent: it is one of ours.
pub(super) fn is_sent(meta: &Metadata<'_>) -> bool {
    meta.is_event() && (meta.target() == "portcullis" || meta.target().starts_with("portcullis::"))
}

/// Takes lines while there is room for them; one that is dropped stands in the log all the same.
pub(super) fn processor(exporter: impl LogExporter + 'static, runtime: Handle) -> impl LogProcessor {
    let (outlet, room) = Outlet::new(Signal::Logs, runtime);
    // Its own queue is never full, so that all that is dropped is counted.
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE + BATCH)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let watched = Watched { inner: exporter, outlet };
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
    outlet: Outlet,
}

impl<E: LogExporter> LogExporter for Watched<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.outlet.send(batch.iter().count(), self.inner.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
