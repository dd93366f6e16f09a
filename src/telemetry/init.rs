//! From settings to a subscriber.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::{
    Event, Level, Metadata, Subscriber,
    metadata::LevelFilter,
    subscriber::{Interest, set_global_default},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt as _, dynamic_filter_fn, filter_fn},
    fmt::{self, MakeWriter},
    layer::{Context, Filter, SubscriberExt as _},
    registry::LookupSpan,
};

use super::{
    InvalidSetting, LOG_CONTEXT, LogFormat, RPC_TARGET, Sampler, Settings, export::Pipeline, logs, panics::log_panics,
    queue::Queue,
};
use crate::meters;

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the exporter cannot be set up, check --otlp-endpoint: {0}")]
    Exporter(String),
    #[error("OTEL_EXPORTER_OTLP_HEADERS: {0}")]
    Headers(#[source] InvalidSetting),
    #[error("the exporter's thread cannot be started: {0}")]
    Runtime(#[source] io::Error),
    #[error("the thread that writes log lines cannot be started: {0}")]
    Log(#[source] io::Error),
    #[error("telemetry was started before in this process")]
    AlreadyStarted,
}

/// How long the end waits for whoever reads the log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Keeps the exporter running. Dropping it does as [`Guard::shutdown`].
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces, metrics and logs"]
pub struct Guard {
    sampler: Sampler,
    pipeline: Option<Pipeline>,
    log: Option<Queue>,
}

impl Guard {
    /// What the settings say, for [`super::RpcLayer`]; never picks a call without an endpoint.
    pub fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// Sends the traces, lines and counts that wait, writes the log lines that do, and ends. Blocks the thread for
    /// 3 seconds at most where there is an endpoint, and for one where nobody reads the log. Comes last, after the
    /// server has drained.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.stop();
        }
        if let Some(log) = self.log.take() {
            log.flush(LAST_LINES);
        }
    }
}

/// Starts logs (to standard error) and, with an endpoint, what is sent there, for the whole process.
/// Needs no runtime. The first thing that `main` does: what is logged before is lost.
pub fn init(settings: &Settings) -> Result<Guard, InitError> {
    let log = Queue::before(io::stderr()).map_err(InitError::Log)?;
    let (subscriber, mut guard) = subscriber(settings, log.clone(), io::stderr().is_terminal())?;
    guard.log = Some(log.clone());
    set_global_default(subscriber).map_err(|_| InitError::AlreadyStarted)?;
    log_panics(log);
    Ok(guard)
}

/// Makes what [`init`] installs, with another writer for the log lines.
pub fn subscriber<W>(
    settings: &Settings,
    writer: W,
    terminal: bool,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Guard), InitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let Settings { log, log_format, otlp_endpoint, otlp_sample_ratio, .. } = settings;
    let pipeline = otlp_endpoint.as_ref().map(|endpoint| Pipeline::start(endpoint, settings)).transpose()?;
    let tracer = pipeline.as_ref().and_then(Pipeline::tracer);
    let sampler = if tracer.is_some() { Sampler::new(*otlp_sample_ratio) } else { Sampler::NEVER };
    let traces = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(exported())
    });
    let sent = pipeline.as_ref().and_then(Pipeline::logs).map(|logs| {
        let ours = filter_fn(logs::is_sent).with_max_level_hint(LevelFilter::TRACE);
        OpenTelemetryTracingBridge::new(logs).with_filter(log.to_filter().and(ours))
    });
    // The exported span would repeat in every line what the context says.
    let not_exported = filter_fn(|meta| !(meta.is_span() && meta.target() == RPC_TARGET));
    let logged = log.to_filter().and(not_exported.with_max_level_hint(LevelFilter::TRACE));
    let lines = lines(*log_format, writer, terminal).and_then(Counted).with_filter(logged);
    let subscriber = Registry::default().with(traces).with(sent).with(lines);
    Ok((subscriber, Guard { sampler, pipeline, log: None }))
}

/// Counts the lines that are written.
struct Counted;

impl<S: Subscriber> Layer<S> for Counted {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => meters::Level::Error,
            Level::WARN => meters::Level::Warn,
            Level::INFO => meters::Level::Info,
            Level::DEBUG => meters::Level::Debug,
            Level::TRACE => meters::Level::Trace,
        };
        meters::LOG_LINES.count(level as usize);
    }
}

fn lines<S, W>(format: LogFormat, writer: W, terminal: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text if terminal => layer.boxed(), // in colour, unless NO_COLOR is set
        LogFormat::Text => layer.with_ansi(false).boxed(),
    }
}

/// Lets through the spans of sampled calls and what this crate opens inside them, and nothing
/// else: h2 and hyper open several spans a frame, which cost 31 times the call when exported.
/// Events stay in the log, which has the trace id.
fn exported<S>() -> impl Filter<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + 'static,
{
    let ours = |meta: &Metadata<'_>| {
        meta.is_span()
            && *meta.level() <= LevelFilter::INFO
            && meta.target().starts_with("portcullis::")
            && meta.target() != LOG_CONTEXT
    };
    dynamic_filter_fn(move |meta: &Metadata<'_>, cx: &Context<'_, S>| {
        ours(meta) && (meta.target() == RPC_TARGET || cx.lookup_current().is_some())
    })
    // Without this, every callsite of every crate would be asked about again at each use.
    .with_callsite_filter(move |meta| if ours(meta) { Interest::sometimes() } else { Interest::never() })
    .with_max_level_hint(LevelFilter::INFO)
}
