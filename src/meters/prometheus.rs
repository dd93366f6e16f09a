//! The text that Prometheus reads: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

use super::reading::{About, Kind, Point, Reading, Value};

/// Of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What was read, as text. An instrument that says nothing is left out.
#[must_use]
pub fn prometheus(readings: &[Reading]) -> String {
    let mut text = String::with_capacity(64 * 1024);
    for Reading { about, points } in readings.iter().filter(|reading| !reading.points.is_empty()) {
        let name = prometheus_name(about);
        let kind = match about.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n", about.help); // to a String it never fails
        points.iter().for_each(|point| write_point(&mut text, &name, point));
    }
    text
}

/// Its name there, by OpenTelemetry's rules for it: with the unit, and `_total` for what only grows. What
/// every process has is called as Prometheus' own libraries call it.
#[must_use]
pub fn prometheus_name(about: &About) -> String {
    match about.name {
        "process.cpu.time" => return "process_cpu_seconds_total".to_owned(),
        "process.memory.usage" => return "process_resident_memory_bytes".to_owned(),
        "process.unix.file_descriptor.count" => return "process_open_fds".to_owned(),
        _ => {}
    }
    let mut name = about.name.replace('.', "_");
    name.push_str(match about.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "", // what is counted is in the name
    });
    if about.kind == Kind::Counter {
        name.push_str("_total");
    }
    name
}

fn write_point(text: &mut String, name: &str, Point { labels, value }: &Point) {
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("{}=\"{}\"", key.replace('.', "_"), escaped(value))).collect();
    let labels = labels.join(",");
    let mut line = |suffix: &str, more: &str, number: &dyn std::fmt::Display| {
        let comma = if labels.is_empty() || more.is_empty() { "" } else { "," };
        let all = format!("{labels}{comma}{more}");
        let braced = if all.is_empty() { all } else { format!("{{{all}}}") };
        let _ = writeln!(text, "{name}{suffix}{braced} {number}");
    };
    match value {
        Value::Count(count) => line("", "", count),
        Value::Number(number) => line("", "", number),
        Value::Histogram { bounds, counts, sum } => {
            let mut below = 0_u64;
            let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(counts) {
                below += count;
                line("_bucket", &format!("le=\"{bound}\""), &below);
            }
            line("_sum", "", sum);
            line("_count", "", &below);
        }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
