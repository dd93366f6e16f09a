//! What the user may set. Values are parsed where they are declared, so nothing wrong
//! comes further than the command line.

use std::{fmt, str::FromStr, time::Duration};

use http::Uri;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

/// Why a setting was refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(String);

impl InvalidSetting {
    pub(super) fn new(why: String) -> Self {
        Self(why)
    }
}

// Not a doc comment: clap would print it as the description of the command that flattens this.
// What the user may say about logs, traces and metrics.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// What to log, to standard error: off, error, warn, info, debug or trace, or a list for
    /// parts of the program, such as "info,portcullis::rpc=debug", which shows every call
    #[arg(
        long,
        env = "PORTCULLIS_LOG",
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Logs and traces"
    )]
    pub log: LogFilter,

    /// How a log line looks: for people, or one JSON object a line
    #[arg(
        long,
        env = "PORTCULLIS_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Logs and traces"
    )]
    pub log_format: LogFormat,

    /// Send traces, metrics and logs to this OpenTelemetry collector, by OTLP over gRPC:
    /// http://HOST:4317, or https://, checked against the system's roots. Unset: none is sent.
    /// Headers that the collector asks for go into OTEL_EXPORTER_OTLP_HEADERS
    #[arg(long, env = "PORTCULLIS_OTLP_ENDPOINT", value_name = "URL", help_heading = "Logs and traces")]
    pub otlp_endpoint: Option<OtlpEndpoint>,

    /// What to send there
    #[arg(
        long,
        env = "PORTCULLIS_OTLP_SIGNALS",
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "traces,metrics,logs",
        help_heading = "Logs and traces"
    )]
    pub otlp_signals: Vec<Sent>,

    // For the environment: on the command line everybody on the machine would see it. Read in [`super::init`], since a
    // parser of arguments repeats what it refuses.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide = true, hide_env_values = true)]
    pub otlp_headers: Option<SecretString>,

    /// The share of calls to trace, 0 to 1. A caller cannot ask for a trace: the sampled flag
    /// of its traceparent is ignored
    #[arg(
        long,
        env = "PORTCULLIS_OTLP_SAMPLE_RATIO",
        value_name = "RATIO",
        default_value_t,
        help_heading = "Logs and traces"
    )]
    pub otlp_sample_ratio: SampleRatio,

    /// How often metrics are sent, in milliseconds: 1000 (a second) to 3600000 (an hour)
    #[arg(
        long,
        env = "PORTCULLIS_OTLP_METRIC_INTERVAL",
        value_name = "MILLISECONDS",
        default_value_t,
        help_heading = "Logs and traces"
    )]
    pub otlp_metric_interval: MetricInterval,
}

/// A signal that goes to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sent {
    Traces,
    Metrics,
    Logs,
}

impl Sent {
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Directives that `tracing_subscriber::EnvFilter` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    pub(super) fn to_filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // EnvFilter takes a lone word that is no level for the name of a part of the program,
        // so that a misspelt level would switch everything else off.
        let is_level = |word: &str| !word.is_empty() && word.parse::<tracing::metadata::LevelFilter>().is_ok();
        if let Some(word) = text.split(',').find(|d| !d.contains(['=', '[']) && !is_level(d.trim())) {
            return Err(InvalidSetting(format!(
                "\"{word}\" is not a level; write off, error, warn, info, debug or trace, or PART=LEVEL"
            )));
        }
        EnvFilter::try_new(text).map_err(|e| InvalidSetting(e.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

/// Where the collector listens: an `http` or `https` URL with a host and nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(Uri);

impl OtlpEndpoint {
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for OtlpEndpoint {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |why: &str| InvalidSetting(format!("{why}; write http://HOST:4317 or https://HOST:4317"));
        let uri: Uri = text.parse().map_err(|_| refused("not a URL"))?;
        let Some(authority) = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https"))) else {
            return Err(refused("not an http or https URL"));
        };
        if authority.as_str().contains('@') {
            return Err(refused("a password does not belong here (use OTEL_EXPORTER_OTLP_HEADERS)"));
        }
        if authority.port_u16().is_none()
            && authority.as_str().trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(':')
        {
            return Err(refused("its port is not one of 0 to 65535"));
        }
        if uri.path_and_query().is_some_and(|p| p.as_str() != "/") {
            return Err(refused("OTLP over gRPC has no path"));
        }
        Ok(Self(uri))
    }
}

/// A number from 0 (none) to 1 (all).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio(f64);

impl SampleRatio {
    pub(super) fn get(self) -> f64 {
        self.0
    }
}

/// One call in a hundred: enough to see a slow path, and a hundredth of what a span costs.
impl Default for SampleRatio {
    fn default() -> Self {
        Self(0.01)
    }
}

impl FromStr for SampleRatio {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self(ratio)),
            _ => Err(InvalidSetting("not a number from 0 to 1".to_owned())),
        }
    }
}

impl fmt::Display for SampleRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds, from a second to an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInterval(u64);

impl MetricInterval {
    pub(super) fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// OpenTelemetry's own.
impl Default for MetricInterval {
    fn default() -> Self {
        Self(60_000)
    }
}

impl FromStr for MetricInterval {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(milliseconds @ 1_000..=3_600_000) => Ok(Self(milliseconds)),
            _ => Err(InvalidSetting("not a number of milliseconds from 1000 to 3600000".to_owned())),
        }
    }
}

impl fmt::Display for MetricInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(args: &[&str]) -> Result<Settings, clap::Error> {
        Cli::try_parse_from(["portcullis"].iter().chain(args)).map(|cli| cli.settings)
    }

    #[test]
    fn defaults_log_info_as_text_and_send_nothing() {
        let settings = parse(&[]).expect("defaults");
        assert_eq!(settings.log, LogFilter("info".to_owned()));
        assert_eq!(settings.log_format, LogFormat::Text);
        assert_eq!(settings.otlp_endpoint, None);
        assert_eq!(settings.otlp_sample_ratio, SampleRatio(0.01));
        assert_eq!(settings.otlp_metric_interval, MetricInterval(60_000));
        assert_eq!(settings.otlp_signals, Sent::ALL);
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_way_to_write_it() {
        for (flag, value, said) in [
            ("--log", "inof", "is not a level"),
            ("--log", "info,portcullis", "PART=LEVEL"),
            ("--log", "", "is not a level"),
            ("--log", "portcullis=loud", "error parsing level filter"),
            ("--log-format", "xml", "[possible values: text, json]"),
            ("--otlp-endpoint", "collector:4317", "write http://HOST:4317"),
            ("--otlp-endpoint", "http://collector:99999", "its port"),
            ("--otlp-endpoint", "http://[::1]:99999", "its port"),
            ("--otlp-endpoint", "localhost", "not an http or https URL"),
            ("--otlp-endpoint", "ftp://collector", "not an http or https URL"),
            ("--otlp-endpoint", "http://collector:4318/v1/traces", "no path"),
            ("--otlp-endpoint", "http://user:hunter2@collector:4317", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("--otlp-sample-ratio", "1.5", "from 0 to 1"),
            ("--otlp-sample-ratio", "NaN", "from 0 to 1"),
            ("--otlp-sample-ratio", "-0.1", "from 0 to 1"),
            ("--otlp-signals", "traces,profiles", "[possible values: traces, metrics, logs]"),
            ("--otlp-metric-interval", "0", "from 1000 to 3600000"),
            ("--otlp-metric-interval", "60s", "from 1000 to 3600000"),
        ] {
            let message = parse(&[&format!("{flag}={value}")]).expect_err(value).to_string();
            assert!(message.contains(said), "{flag}={value}: {message}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        for args in [
            ["--log=off", "--otlp-endpoint=https://collector.example.com"],
            ["--log=warn,portcullis::rpc=debug", "--otlp-endpoint=http://127.0.0.1:4317/"],
            ["--log=info,portcullis[rpc{method}]=trace", "--otlp-endpoint=http://[::1]:4317"],
        ] {
            parse(&args).expect("good");
        }
        assert_eq!(parse(&["--otlp-sample-ratio=1"]).expect("good").otlp_sample_ratio, SampleRatio(1.0));
    }
}
