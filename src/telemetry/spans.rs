//! Spans on their way: a bounded queue that never waits, and exports that end.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::runtime::Handle;

use super::{
    export::{BATCH, DELAY},
    failures::Room,
    outlet::{Outlet, QUEUE},
};
use crate::meters::Signal;

/// Takes spans while there is room for them.
pub(super) fn processor(exporter: impl SpanExporter + 'static, runtime: Handle) -> impl SpanProcessor {
    let (outlet, room) = Outlet::new(Signal::Traces, runtime);
    // Its own queue is never full, so that all that is dropped is counted.
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE + BATCH)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let watched = Watched { inner: exporter, outlet };
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
    outlet: Outlet,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.outlet.send(batch.len(), self.inner.export(batch)).await
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
