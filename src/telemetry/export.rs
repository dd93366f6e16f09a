//! The way to the collector. Nothing here can hold a call up: finished spans and log lines go
//! into bounded queues that never wait, and threads of their own send them; metrics are read
//! now and then.

use std::{thread, time::Duration};

use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use secrecy::ExposeSecret as _;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::{
    InitError, OtlpEndpoint, Settings, headers::OtlpHeaders, logs, push::Push, settings::Sent, spans, trace::SCHEMA_URL,
};

pub(super) const BATCH: usize = 512;
/// How long a span waits for its batch to fill.
pub(super) const DELAY: Duration = Duration::from_secs(1);
/// For one batch, with its retries.
pub(super) const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all that is left when the process ends.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The running exporters.
#[derive(Debug)]
pub(super) struct Pipeline {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    metrics: Option<Push>,
    /// Its own, so that a busy server does not delay the export, and a flush cannot wait for
    /// the thread that it blocks.
    runtime: Runtime,
}

impl Pipeline {
    /// Connects when the first batch is sent.
    pub(super) fn start(endpoint: &OtlpEndpoint, settings: &Settings) -> Result<Self, InitError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(InitError::Runtime)?;
        let _entered = runtime.enter();
        let channel = channel(endpoint)?;
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let headers = settings.otlp_headers.as_ref().map_or("", |text| text.expose_secret());
        let headers: OtlpHeaders = headers.parse().map_err(InitError::Headers)?;
        let sends = |signal| settings.otlp_signals.contains(&signal);
        let traces = sends(Sent::Traces).then(|| {
            let exporter =
                SpanExporter::builder().with_tonic().with_channel(channel.clone()).with_metadata(headers.metadata());
            let exporter = exporter.with_timeout(EXPORT_TIMEOUT).build().map_err(refused)?;
            Ok(SdkTracerProvider::builder()
                // A span is built for a sampled call only. The default would ask the caller's flag.
                .with_sampler(Sampler::AlwaysOn)
                .with_span_processor(spans::processor(exporter, runtime.handle().clone()))
                .with_resource(resource.clone())
                .build())
        });
        let logs = sends(Sent::Logs).then(|| {
            let exporter =
                LogExporter::builder().with_tonic().with_channel(channel.clone()).with_metadata(headers.metadata());
            let exporter = exporter.with_timeout(EXPORT_TIMEOUT).build().map_err(refused)?;
            Ok(SdkLoggerProvider::builder()
                .with_log_processor(logs::processor(exporter, runtime.handle().clone()))
                .with_resource(resource.clone())
                .build())
        });
        let (traces, logs) = (traces.transpose()?, logs.transpose()?);
        let metrics =
            sends(Sent::Metrics).then(|| Push::start(channel, headers, &resource, settings.otlp_metric_interval.get()));
        drop(_entered);
        Ok(Self { traces, logs, metrics, runtime })
    }

    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        Some(self.traces.as_ref()?.tracer_with_scope(scope()))
    }

    pub(super) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.logs.as_ref()
    }

    /// Sends what is left, for 3 seconds at most.
    pub(super) fn stop(self) {
        let Self { traces, logs, metrics, runtime } = self;
        let [traces, logs, metrics] = thread::scope(|scope| {
            let traces = scope.spawn(|| traces.map_or(Ok(()), |traces| traces.shutdown_with_timeout(FLUSH_TIMEOUT)));
            let logs = scope.spawn(|| logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(FLUSH_TIMEOUT)));
            let metrics = scope.spawn(|| metrics.map_or(Ok(()), |metrics| metrics.stop(FLUSH_TIMEOUT)));
            [traces.join(), logs.join(), metrics.join()]
        });
        for (what, ended) in [("traces", traces), ("logs", logs), ("metrics", metrics)] {
            if let Ok(Err(e)) = ended {
                tracing::warn!(error = %e, "the last {what} were not exported: {e}");
            }
        }
        runtime.shutdown_background(); // a plain drop would wait, and panic in async code
    }
}

/// Who says what is exported.
fn scope() -> InstrumentationScope {
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

fn refused(e: impl std::error::Error) -> InitError {
    InitError::Exporter(e.to_string())
}
