//! The way to the collector. Nothing here can hold a call up: finished spans go into a
//! bounded queue that never waits, and a thread of its own sends them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::SdkMeterProvider,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::Instant,
};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::{InitError, OtlpEndpoint, RefusedCalls, metrics, trace::SCHEMA_URL};

/// Spans that wait to be sent, about 1 KiB each; what comes on top is dropped.
const QUEUE: usize = 4096;
const BATCH: usize = 512;
/// How long a span waits for its batch to fill.
const DELAY: Duration = Duration::from_secs(1);
/// For one batch, with its retries.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all that is left when the process ends.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a collector that stays away is mentioned.
const REMIND: Duration = Duration::from_secs(300);

/// The running exporter.
#[derive(Debug)]
pub(super) struct Pipeline {
    provider: SdkTracerProvider,
    meters: SdkMeterProvider,
    /// Its own, so that a busy server does not delay the export, and a flush cannot wait for
    /// the thread that it blocks.
    runtime: Runtime,
}

impl Pipeline {
    /// Connects when the first batch is sent.
    pub(super) fn start(endpoint: &OtlpEndpoint, metric_interval: Duration) -> Result<Self, InitError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(InitError::Runtime)?;
        let (channel, exporter) = {
            let _entered = runtime.enter();
            let channel = channel(endpoint)?;
            (channel.clone(), exporter(channel)?)
        };
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let watched = Watched { inner: exporter, runtime: runtime.handle().clone(), failures: Failures::new("traces") };
        let processor = BatchSpanProcessor::builder(watched).with_batch_config(queue);
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let meters = metrics::provider(channel, runtime.handle(), resource.clone(), metric_interval)?;
        let provider = SdkTracerProvider::builder()
            // A span is built for a sampled call only. The default would ask the caller's flag.
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(processor.build())
            .with_resource(resource)
            .build();
        Ok(Self { provider, meters, runtime })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer_with_scope(scope())
    }

    pub(super) fn refused_calls(&self) -> RefusedCalls {
        RefusedCalls::new(&self.meters)
    }

    /// Sends what is left, for 3 seconds at most.
    pub(super) fn stop(self) {
        let (traces, metrics) = thread::scope(|scope| {
            let metrics = scope.spawn(|| self.meters.shutdown_with_timeout(FLUSH_TIMEOUT));
            (self.provider.shutdown_with_timeout(FLUSH_TIMEOUT), metrics.join())
        });
        if let Err(e) = traces {
            tracing::warn!(error = %e, "the last traces were not exported: {e}");
        }
        if let Ok(Err(e)) = metrics {
            tracing::warn!(error = %e, "the last metrics were not exported: {e}");
        }
        self.runtime.shutdown_background(); // a plain drop would wait, and panic in async code
    }
}

/// Who says what is exported.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

fn channel(endpoint: &OtlpEndpoint) -> Result<Channel, InitError> {
    let mut channel = Endpoint::from(endpoint.uri().clone())
        .timeout(EXPORT_TIMEOUT)
        .connect_timeout(EXPORT_TIMEOUT)
        // A collector that went away without a word is noticed.
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(EXPORT_TIMEOUT);
    if endpoint.is_tls() {
        channel = channel.tls_config(ClientTlsConfig::new().with_enabled_roots()).map_err(refused)?;
    }
    Ok(channel.connect_lazy())
}

fn exporter(channel: Channel) -> Result<OtlpExporter, InitError> {
    OtlpExporter::builder().with_tonic().with_channel(channel).with_timeout(EXPORT_TIMEOUT).build().map_err(refused)
}

fn refused(e: impl std::error::Error) -> InitError {
    InitError::Exporter(e.to_string())
}

/// Bounds each export, and tells of failures without repeating itself.
#[derive(Debug)]
struct Watched<E> {
    inner: E,
    runtime: Handle,
    failures: Failures,
}

/// Failures of the exports of one kind, told without repeating itself.
#[derive(Debug)]
pub(super) struct Failures {
    /// As in *traces*.
    what: &'static str,
    /// When the failures that go on were last mentioned.
    mentioned: Mutex<Option<Instant>>,
    lost: AtomicU64,
}

impl Failures {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, mentioned: Mutex::new(None), lost: AtomicU64::new(0) }
    }

    pub(super) fn note(&self, result: &OTelSdkResult, items: u64) {
        let what = self.what;
        let mut mentioned = self.mentioned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match result {
            Err(e) => {
                let lost = self.lost.fetch_add(items, Relaxed) + items;
                if mentioned.is_none_or(|at| at.elapsed() >= REMIND) {
                    *mentioned = Some(Instant::now());
                    tracing::warn!(error = %e, lost, "{what} cannot be exported ({lost} lost), calls go on: {e}");
                }
            }
            Ok(()) if mentioned.take().is_some() => {
                let lost = self.lost.swap(0, Relaxed);
                tracing::info!(lost, "{what} are exported again; {lost} were lost");
            }
            Ok(()) => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let export = {
            let _entered = self.runtime.enter(); // the timer belongs to it; this thread has none
            tokio::time::timeout(EXPORT_TIMEOUT, self.inner.export(batch))
        };
        let result = export.await.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)));
        self.failures.note(&result, spans);
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

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Arc};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lines").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn failures_are_mentioned_once_and_their_end_with_what_was_lost() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone());
        let failures = Failures::new("traces");
        let failed = || Err(OTelSdkError::InternalFailure("collector away".to_owned()));
        tracing::subscriber::with_default(subscriber.finish(), || {
            for result in [Ok(()), failed(), failed(), failed(), Ok(()), Ok(()), failed()] {
                failures.note(&result, 512);
            }
        });
        let text = String::from_utf8(lines.0.lock().expect("lines").clone()).expect("UTF-8");
        let [first, second, third] = text.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {text}") };
        assert!(first.contains("WARN") && first.contains("(512 lost)") && first.contains("collector away"), "{first}");
        assert!(second.contains("INFO") && second.contains("1536 were lost"), "{second}");
        assert!(third.contains("WARN") && third.contains("(512 lost)"), "{third}");
    }
}
