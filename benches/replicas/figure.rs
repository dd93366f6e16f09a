use std::{fmt::Write as _, time::Duration};

use serde_json::{Map, Value, json};

use crate::samples::Samples;

/// Prints what was measured: for people, or a JSON object a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    json: bool,
}

/// One line of it: what it is of, and what came out, in the order in which it was added.
#[derive(Debug)]
pub(crate) struct Figure {
    what: String,
    fields: Vec<(&'static str, Value)>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// A remark, beside the figures.
    pub(crate) fn say(self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }

    pub(crate) fn head(self, name: &str, what: &str) {
        self.say(&format!("\n{name}: {what}"));
    }

    pub(crate) fn print(self, figure: &Figure) {
        if self.json {
            let fields = figure.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            let named = [("what".to_owned(), json!(figure.what))].into_iter().chain(fields);
            println!("{}", Value::Object(named.collect::<Map<_, _>>()));
            return;
        }
        let mut line = format!("  {:<44}", figure.what);
        for (name, value) in &figure.fields {
            let (name, unit) = match name.rsplit_once('_') {
                Some((name, unit @ ("ms" | "s" | "MiB"))) => (name.replace('_', " "), format!(" {unit}")),
                _ => (name.replace('_', " "), String::new()),
            };
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(line, "  {name} {value}{unit}");
        }
        println!("{line}");
    }
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), fields: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// `name` ends with the unit.
    pub(crate) fn number(self, name: &'static str, value: f64) -> Self {
        let digits = if value.abs() < 10.0 { 100.0 } else { 10.0 };
        self.with(name, (value * digits).round() / digits)
    }

    pub(crate) fn ms(self, name: &'static str, time: Duration) -> Self {
        self.number(name, time.as_secs_f64() * 1e3)
    }

    pub(crate) fn s(self, name: &'static str, time: Duration) -> Self {
        self.number(name, time.as_secs_f64())
    }

    pub(crate) fn samples(self, samples: &Samples) -> Self {
        let this = self.with("n", samples.count()).ms("p50_ms", samples.percentile(50));
        this.ms("p99_ms", samples.percentile(99)).ms("max_ms", samples.max())
    }
}
