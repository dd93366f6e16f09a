//! Telemetry over the wire: a tonic server behind the layers, and a collector of our own.

#![cfg(all(feature = "server", feature = "client"))]
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep the rings of the crate; a test draws and asks as it likes"
)]

mod alerts;
mod binary;
mod certificates;
mod collector;
mod documented;
mod headers;
mod logs;
mod process;
mod real;
mod refused;
mod scrape;
mod server;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use collector::Collector;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use portcullis::telemetry::{Guard, LogFormat, MetricInterval, Sent, Settings, subscriber};
use server::Server;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tracing::subscriber::DefaultGuard;

/// Sampled by the caller's word, and not.
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn settings(log: &str, endpoint: Option<&str>, ratio: &str) -> Settings {
    Settings {
        log: log.parse().expect("level"),
        log_format: LogFormat::Json,
        otlp_endpoint: endpoint.map(|url| url.parse().expect("endpoint")),
        otlp_sample_ratio: ratio.parse().expect("ratio"),
        otlp_metric_interval: MetricInterval::default(),
        otlp_signals: Sent::ALL.into(),
        otlp_headers: None,
    }
}

/// Telemetry for what runs on this thread, client and server. Every level of every crate is on,
/// so that a span that should not be exported is there to be exported.
fn start(endpoint: Option<&str>, ratio: &str) -> (Guard, DefaultGuard) {
    start_at("trace", endpoint, ratio)
}

fn start_at(log: &str, endpoint: Option<&str>, ratio: &str) -> (Guard, DefaultGuard) {
    let (subscriber, guard) = subscriber(&settings(log, endpoint, ratio), std::io::sink, false).expect("telemetry");
    (guard, tracing::subscriber::set_default(subscriber))
}

fn with(header: &'static str, values: &[&str]) -> Request<HealthCheckRequest> {
    let mut request = Request::new(server::check("up"));
    for value in values {
        request.metadata_mut().append(header, value.parse().expect("value"));
    }
    request
}

#[tokio::test]
async fn a_sampled_call_is_one_span_with_the_names_of_the_conventions() {
    let collector = Collector::start();
    let (guard, _default) = start(Some(&collector.url()), "1");
    let server = Server::start(guard.sampler()).await;
    let mut request = with("x-request-id", &["call-1"]);
    request.metadata_mut().insert("traceparent", SAMPLED.parse().expect("value"));
    request.metadata_mut().insert("tracestate", "canary=1".parse().expect("value"));
    request.metadata_mut().insert("authorization", "Bearer canary".parse().expect("value"));
    let answer = server.health().check(request).await.expect("up");
    assert_eq!(answer.metadata().get("x-request-id").expect("on every answer"), "call-1");
    guard.shutdown();

    let spans = collector.finish();
    let [rpc] = &spans[..] else { panic!("one span and no other: {spans:#?}") };
    assert_eq!(rpc.span.name, "grpc.health.v1.Health/Check");
    assert_eq!(rpc.span.kind, i32::from(SpanKind::Server));
    assert_eq!(hex(&rpc.span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&rpc.span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(rpc.attribute("rpc.system.name"), "grpc");
    assert_eq!(rpc.attribute("rpc.method"), "grpc.health.v1.Health/Check");
    assert_eq!(rpc.attribute("rpc.status_code"), "OK");
    assert_eq!(rpc.attribute("portcullis.request_id"), "call-1");
    assert_eq!(rpc.attribute("network.peer.address"), "127.0.0.1");
    assert_ne!(rpc.attribute("network.peer.port").parse::<u16>().expect("a port"), 0);
    assert_eq!(rpc.span.attributes.len(), 6, "{:?}", rpc.span.attributes);
    assert!(rpc.span.events.is_empty() && rpc.span.links.is_empty());
    assert_eq!(rpc.status(), StatusCode::Unset);
    assert!(rpc.span.end_time_unix_nano > rpc.span.start_time_unix_nano);
    assert_eq!(rpc.resource("service.name"), "portcullis");
    assert_eq!(rpc.resource("service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!((rpc.scope.as_str(), rpc.schema.as_str()), ("portcullis", "https://opentelemetry.io/schemas/1.45.0"));
    assert!(!format!("{spans:?}").contains("canary"));
}

#[tokio::test]
async fn errors_and_cancelled_streams_are_told_apart() {
    let mut collector = Collector::start();
    let (guard, _default) = start(Some(&collector.url()), "1");
    let server = Server::start(guard.sampler()).await;

    let refused = server.health().check(server::check("absent")).await.expect_err("not found");
    assert_eq!(refused.code(), Code::NotFound);
    let unknown = server.call("/canary.Service/Canary").await.expect_err("no such method");
    assert_eq!(unknown.code(), Code::Unimplemented);
    let made = unknown.metadata().get("x-request-id").expect("on every answer").to_str().expect("ASCII").to_owned();
    let mut watch = server.health().watch(server::check("up")).await.expect("watch").into_inner();
    watch.message().await.expect("first message").expect("first message");
    drop(watch);
    // The server hears of it by a frame; then its span comes without a shutdown.
    let spans = [collector.next().await, collector.next().await, collector.next().await];
    guard.shutdown();
    assert_eq!(collector.finish().len(), 0);

    let [absent, other, cancelled] = &spans;
    assert_eq!(absent.attribute("rpc.status_code"), "NOT_FOUND");
    assert_eq!((absent.status(), absent.get("error.type")), (StatusCode::Unset, None), "the caller's error, not ours");
    assert_eq!(other.span.name, "grpc");
    assert_eq!(other.attribute("rpc.method"), "_OTHER");
    assert_eq!(other.attribute("rpc.status_code"), "UNIMPLEMENTED");
    assert_eq!((other.status(), other.attribute("error.type")), (StatusCode::Error, "UNIMPLEMENTED".to_owned()));
    assert_eq!(other.attribute("portcullis.request_id"), made);
    assert_eq!(cancelled.span.name, "grpc.health.v1.Health/Watch");
    assert_eq!(cancelled.attribute("rpc.status_code"), "CANCELLED");
    assert_eq!(cancelled.status(), StatusCode::Unset);
    assert!(!format!("{spans:?}").contains("anary"), "an unknown path is the caller's text");
}

#[tokio::test]
async fn only_spans_of_this_crate_inside_a_sampled_call_are_exported() {
    let collector = Collector::start();
    let (guard, _default) = start(Some(&collector.url()), "1");
    drop(tracing::error_span!(target: "portcullis::store", "outside any call").entered());
    let server = Server::start(guard.sampler()).await;
    server.health().check(with(server::WORK, &["1"])).await.expect("up");
    guard.shutdown();

    let spans = collector.finish();
    let names: Vec<_> = spans.iter().map(|s| s.span.name.as_str()).collect();
    assert_eq!(names, ["at work", "grpc.health.v1.Health/Check"]);
    assert_eq!(spans[0].span.parent_span_id, spans[1].span.span_id);
    assert_eq!(spans[0].span.trace_id, spans[1].span.trace_id);
    assert!(!format!("{spans:?}").contains("canary"), "log lines stay in the log");
}

#[tokio::test]
async fn the_caller_decides_nothing_about_sampling() {
    for (ratio, traceparent, expected) in [("1", UNSAMPLED, 1), ("1", SAMPLED, 1), ("0", SAMPLED, 0)] {
        let collector = Collector::start();
        let (guard, _default) = start(Some(&collector.url()), ratio);
        let server = Server::start(guard.sampler()).await;
        server.health().check(with("traceparent", &[traceparent])).await.expect("up");
        guard.shutdown();
        let spans = collector.finish();
        assert_eq!(spans.len(), expected, "ratio {ratio}, {traceparent}");
        assert!(spans.iter().all(|s| hex(&s.span.trace_id) == traceparent[3..35]));
    }
}

#[tokio::test]
async fn a_traceparent_that_is_not_one_starts_a_new_trace() {
    let collector = Collector::start();
    let (guard, _default) = start(Some(&collector.url()), "1");
    let server = Server::start(guard.sampler()).await;
    let long = format!("01{}", &SAMPLED[2..].replace("-01", &"-01".repeat(100)));
    let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    for bad in [&["x"][..], &[zero], &[SAMPLED, SAMPLED], &[&long]] {
        server.health().check(with("traceparent", bad)).await.expect("up");
    }
    guard.shutdown();
    let spans = collector.finish();
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|s| s.span.parent_span_id.is_empty() && s.span.trace_id != [0; 16]));
    assert!(!format!("{spans:?}").contains("0af7651916cd43dd"));
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_sent() {
    let collector = Collector::start();
    let (guard, _default) = start(None, "1");
    let server = Server::start(guard.sampler()).await;
    let answer = server.health().check(with("traceparent", &[SAMPLED])).await.expect("up");
    let id = answer.metadata().get("x-request-id").expect("on every answer");
    assert_eq!(id, "00000000000000000000000000000001", "made by the server");
    guard.shutdown();
    assert_eq!(collector.finish().len(), 0);
}

#[tokio::test]
async fn a_collector_that_never_answers_slows_no_call() {
    // Connections are completed by the kernel, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}", silent.local_addr().expect("address"));
    let (guard, _default) = start_at("off", Some(&url), "1");
    let server = Server::start(guard.sampler()).await;
    let mut slowest = Duration::ZERO;
    // More than the queue and a batch hold, so that spans are dropped rather than waited for.
    for _ in 0..5_000 {
        let started = Instant::now();
        server.health().check(server::check("up")).await.expect("up");
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(3), "an export may last 5 s, and a call waited {slowest:?}");
    // What others of this process drop is counted with it.
    assert!(dropped("traces") >= 5_000 - 4_096 - 512, "{} are counted", dropped("traces"));
    let started = Instant::now();
    guard.shutdown();
    assert!(started.elapsed() < Duration::from_secs(5), "the flush is bounded, and took {:?}", started.elapsed());
}

/// As this process counts it.
fn dropped(signal: &str) -> u64 {
    let reading = portcullis::meters::read().into_iter().find(|one| one.about.name == "portcullis.telemetry.dropped");
    let of = |point: &portcullis::meters::Point| match point.value {
        portcullis::meters::Value::Count(count) if point.labels[0].1 == signal => count,
        _ => 0,
    };
    reading.expect("it is counted").points.iter().map(of).sum()
}

/// A program of others that a test needs; without it the test says that it skips, and fails in CI.
fn tool(variable: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os(variable).map(std::path::PathBuf::from);
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "{variable} is not set, and CI skips nothing");
    if path.is_none() {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped: {variable} is not set; tests/run sets it");
    }
    path
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
