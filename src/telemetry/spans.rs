//! Spans on their way: a bounded queue that never waits, and exports that end.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::runtime::Handle;

use super::{
    export::{BATCH, DELAY, EXPORT_TIMEOUT},
    failures::{Failures, Room},
};
use crate::meters::Signal;

/// Spans that wait to be sent, about 1 KiB each; what comes on top is dropped.
const QUEUE: usize = 4096;

/// Takes spans while there is room for them.
pub(super) fn processor(exporter: impl SpanExporter + 'static, runtime: Handle) -> impl SpanProcessor {
    let room = Arc::new(Room::new(Signal::Traces, QUEUE));
    // Its own queue is never full, so that all that is dropped is counted.
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE + BATCH)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let failures = Failures::new(Signal::Traces);
    let watched = Watched { inner: exporter, runtime, failures, room: Arc::clone(&room) };
    Bounded { inner: BatchSpanProcessor::builder(watched).with_batch_config(queue).build(), room }
}

#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    room: Arc<Room>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.room.enter() {
            self.inner.on_end(span);
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

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.room.leave(spans);
        let export = {
            let _entered = self.runtime.enter(); // the timer belongs to it; this thread has none
            tokio::time::timeout(EXPORT_TIMEOUT, self.inner.export(batch))
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)));
        self.failures.note(&result, spans as u64);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
