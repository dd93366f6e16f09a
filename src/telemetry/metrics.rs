//! What `meters` read, as OTLP says it.

use opentelemetry_proto::{
    tonic::{
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{
            AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
            ScopeMetrics, Sum, metric::Data, number_data_point,
        },
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};

use super::trace::SCHEMA_URL;
use crate::{
    clock::Clock,
    meters::{Kind, Point, Reading, Value},
};

/// Whose metrics they are, and since when they are counted.
#[derive(Debug)]
pub(super) struct Otlp {
    resource: Resource,
    clock: Clock,
    start: u64,
}

/// The whole count each time, so that an export that fails loses nothing.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

impl Otlp {
    pub(super) fn new(resource: &opentelemetry_sdk::Resource) -> Self {
        let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
        let clock = Clock::system();
        Self { resource: Resource { attributes, ..Resource::default() }, start: nanos(&clock), clock }
    }

    pub(super) fn say(&self, readings: Vec<Reading>) -> ResourceMetrics {
        let times = (self.start, nanos(&self.clock));
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let metrics = readings.into_iter().filter(|reading| !reading.points.is_empty());
        let metrics = metrics.map(|reading| metric(reading, times)).collect();
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: SCHEMA_URL.to_owned() }];
        ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics, schema_url: String::new() }
    }
}

fn nanos(clock: &Clock) -> u64 {
    u64::try_from(clock.now().micros()).unwrap_or_default().saturating_mul(1_000)
}

fn metric(Reading { about, points }: Reading, times: (u64, u64)) -> Metric {
    let data = match about.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: points.into_iter().map(|point| number(point, times)).collect(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Kind::Gauge => {
            Data::Gauge(Gauge { data_points: points.into_iter().map(|point| number(point, times)).collect() })
        }
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: points.into_iter().map(|point| histogram(point, times)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: about.name.to_owned(),
        description: about.help.to_owned(),
        unit: about.unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn number(Point { labels, value }: Point, (start, now): (u64, u64)) -> NumberDataPoint {
    let value = match value {
        Value::Count(count) => Some(number_data_point::Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))),
        Value::Number(number) => Some(number_data_point::Value::AsDouble(number)),
        Value::Histogram { .. } => None,
    };
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value,
        ..NumberDataPoint::default()
    }
}

fn histogram(Point { labels, value }: Point, (start, now): (u64, u64)) -> HistogramDataPoint {
    let (bounds, counts, sum) = match value {
        Value::Histogram { bounds, counts, sum } => (bounds.to_vec(), counts, Some(sum)),
        Value::Count(_) | Value::Number(_) => Default::default(),
    };
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: counts.iter().sum(),
        sum,
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: crate::meters::PointLabels) -> Vec<KeyValue> {
    let text = |text: String| Some(AnyValue { value: Some(any_value::Value::StringValue(text)) });
    let attribute = |(key, value): (&'static str, std::borrow::Cow<'static, str>)| KeyValue {
        key: key.to_owned(),
        value: text(value.into_owned()),
        ..KeyValue::default()
    };
    labels.into_iter().map(attribute).collect()
}
