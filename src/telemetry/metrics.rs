//! What is counted. Counting never waits: a thread of its own reads the counts now and then.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, MeterProvider as _},
};
use opentelemetry_otlp::{MetricExporter as OtlpExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{PeriodicReader, SdkMeterProvider, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};
use tokio::runtime::Handle;
use tonic::transport::Channel;

use super::{
    InitError, Method,
    export::{FLUSH_TIMEOUT, Failures, scope},
};

/// For one export. One that is under way when the process ends and the last one fit into its flush.
const EXPORT_TIMEOUT: Duration = Duration::from_millis(FLUSH_TIMEOUT.as_millis() as u64 / 2);

/// The counter `portcullis.refused_calls`: calls that were refused before anybody had proven to
/// be their caller. They are in no audit log, which strangers could fill.
///
/// By method and reason and nothing else, so that no caller decides how many series there are.
#[derive(Debug, Clone, Copy)]
pub struct RefusedCalls(Option<&'static Counter<u64>>);

impl RefusedCalls {
    /// Counts nothing.
    pub const OFF: Self = Self(None);

    pub(super) fn new(provider: &SdkMeterProvider) -> Self {
        let counter = provider
            .meter_with_scope(scope())
            .u64_counter("portcullis.refused_calls")
            .with_unit("{call}")
            .with_description("Calls that were refused before their caller was proven")
            .build();
        // Leaked, because a count of references would be written by every core for every call.
        Self(Some(Box::leak(Box::new(counter))))
    }

    /// Counts one, of a method that the server knows, or of none, for a reason such as
    /// `TOKEN_INVALID`.
    pub fn count(self, method: Option<&'static str>, reason: &'static str) {
        if let Some(counter) = self.0 {
            let method = method.unwrap_or(Method::OTHER.name);
            counter.add(1, &[KeyValue::new("rpc.method", method), KeyValue::new("error.type", reason)]);
        }
    }
}

/// Exports what is counted, each so often; nothing while nothing was counted.
pub(super) fn provider(
    channel: Channel,
    runtime: &Handle,
    resource: Resource,
    interval: Duration,
) -> Result<SdkMeterProvider, InitError> {
    let exporter = {
        let _entered = runtime.enter();
        OtlpExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(EXPORT_TIMEOUT)
            // The whole count each time, so that an export that fails loses nothing.
            .with_temporality(Temporality::Cumulative)
            .build()
            .map_err(|e| InitError::Exporter(e.to_string()))?
    };
    let watched = Watched { inner: exporter, runtime: runtime.clone(), failures: Failures::new("metrics") };
    let reader = PeriodicReader::builder(watched).with_interval(interval).build();
    Ok(SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build())
}

/// Bounds each export, and tells of failures.
struct Watched<E> {
    inner: E,
    runtime: Handle,
    failures: Failures,
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let export = {
            let _entered = self.runtime.enter(); // the timer belongs to it; this thread has none
            tokio::time::timeout(EXPORT_TIMEOUT, self.inner.export(metrics))
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)));
        self.failures.note(&result, 0);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
