//! From settings to a subscriber.

use std::io::{self, IsTerminal as _};

use tracing::{
    Metadata, Subscriber,
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

use super::{LOG_CONTEXT, LogFormat, RPC_TARGET, RefusedCalls, Sampler, Settings, export::Pipeline};

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the exporter cannot be set up, check --otlp-endpoint: {0}")]
    Exporter(String),
    #[error("the exporter's thread cannot be started: {0}")]
    Runtime(#[source] io::Error),
    #[error("telemetry was started before in this process")]
    AlreadyStarted,
}

/// Keeps the exporter running. Dropping it does as [`Guard::shutdown`].
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces and metrics"]
pub struct Guard {
    sampler: Sampler,
    refused_calls: RefusedCalls,
    pipeline: Option<Pipeline>,
}

impl Guard {
    /// What the settings say, for [`super::RpcLayer`]; never picks a call without an endpoint.
    pub fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// Where calls are counted that prove no caller; counts nothing without an endpoint.
    pub fn refused_calls(&self) -> RefusedCalls {
        self.refused_calls
    }

    /// Sends the traces and counts that wait, and ends. Blocks the thread for 3 seconds at most; does
    /// nothing without an endpoint. Comes last, after the server has drained.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.stop();
        }
    }
}

/// Starts logs (to standard error) and, with an endpoint, traces and metrics, for the whole process.
/// Needs no runtime. The first thing that `main` does: what is logged before is lost.
pub fn init(settings: &Settings) -> Result<Guard, InitError> {
    let (subscriber, guard) = subscriber(settings, io::stderr, io::stderr().is_terminal())?;
    set_global_default(subscriber).map_err(|_| InitError::AlreadyStarted)?;
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
    let Settings { log, log_format, otlp_endpoint, otlp_sample_ratio, otlp_metric_interval } = settings;
    let pipeline =
        otlp_endpoint.as_ref().map(|endpoint| Pipeline::start(endpoint, otlp_metric_interval.get())).transpose()?;
    let traces = pipeline.as_ref().map(|pipeline| {
        tracing_opentelemetry::layer()
            .with_tracer(pipeline.tracer())
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(exported())
    });
    // The exported span would repeat in every line what the context says.
    let not_exported = filter_fn(|meta| !(meta.is_span() && meta.target() == RPC_TARGET));
    let logged = log.to_filter().and(not_exported.with_max_level_hint(LevelFilter::TRACE));
    let subscriber = Registry::default().with(traces).with(lines(*log_format, writer, terminal).with_filter(logged));
    let sampler = if pipeline.is_some() { Sampler::new(*otlp_sample_ratio) } else { Sampler::NEVER };
    let refused_calls = pipeline.as_ref().map_or(RefusedCalls::OFF, Pipeline::refused_calls);
    Ok((subscriber, Guard { sampler, refused_calls, pipeline }))
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
