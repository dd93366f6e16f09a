//! What a call costs that is neither sampled nor logged: no memory.
//! Nor does what is counted of it. A file of its own, because it counts the allocations of its whole process.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "a test measures as it likes")]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use http_body_util::Empty;
use portcullis::meters::{self, Value};
use portcullis::telemetry::{
    LogFormat, Method, MethodKind, MetricInterval, RequestId, RpcLayer, Sent, Settings, subscriber,
};
use tower::{Layer, Service, service_fn};

type Answer = Response<Empty<bytes::Bytes>>;

fn methods(path: &str) -> Option<Method> {
    let kind = match path {
        "/s/Hot" => MethodKind::HotRead,
        "/s/Read" => MethodKind::Read,
        _ => return None,
    };
    Some(Method { name: "s/Method", kind })
}

/// Allocations of the second of two equal calls; the first registers callsites.
fn allocations(log: &str, endpoint: Option<&str>, path: &str) -> u64 {
    let settings = Settings {
        log: log.parse().expect("level"),
        log_format: LogFormat::Text,
        otlp_endpoint: endpoint.map(|url| url.parse().expect("endpoint")),
        // Of the order of one call in 10^18: the draw is made, and picks none.
        otlp_sample_ratio: "1e-18".parse().expect("ratio"),
        otlp_metric_interval: MetricInterval::default(),
        otlp_signals: Sent::ALL.into(),
        otlp_headers: None,
    };
    let (subscriber, guard) = subscriber(&settings, std::io::sink, false).expect("telemetry");
    let layer = RpcLayer::new(methods, guard.sampler());
    let calls = [call(path), call(path)];
    tracing::subscriber::with_default(subscriber, || {
        calls.map(|(request, answer)| {
            let mut answer = Some(answer);
            let mut service = layer
                .layer(service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(answer.take().expect("one call")))));
            allocation_counter::measure(|| {
                let future = pin!(service.call(request));
                let Poll::Ready(Ok(answer)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
                    panic!("the toy is ready")
                };
                drop(answer);
            })
        })[1]
            .count_total
    })
}

/// A request as it comes to the layer, and its answer, status in the headers.
fn call(path: &str) -> (Request<()>, Answer) {
    let mut request = Request::builder().uri(path).body(()).expect("request");
    request.extensions_mut().insert(RequestId::from_random([1; 16]));
    let answer = Response::builder().header("grpc-status", "0").body(Empty::new()).expect("response");
    (request, answer)
}

#[test]
fn a_hot_call_that_is_neither_sampled_nor_logged_allocates_nothing() {
    for endpoint in [None, Some("http://127.0.0.1:1")] {
        assert_eq!(allocations("info", endpoint, "/s/Hot"), 0, "endpoint {endpoint:?}");
        // The same measure sees what other calls allocate.
        assert!(allocations("info", endpoint, "/s/Read") > 0);
        assert!(allocations("info,portcullis::rpc=debug", endpoint, "/s/Hot") > 0);
    }
}

/// How many calls of the toy's method are counted.
fn counted() -> u64 {
    let reading = meters::read().into_iter().find(|reading| reading.about.name == "rpc.server.call.duration");
    let of_toy = |point: &meters::Point| match &point.value {
        Value::Histogram { counts, .. } if point.labels.iter().any(|(_, value)| value == "s/Method") => {
            counts.iter().sum()
        }
        _ => 0,
    };
    reading.expect("it is measured").points.iter().map(of_toy).sum::<u64>()
}

#[test]
fn what_is_counted_of_a_call_takes_no_memory_and_no_microsecond() {
    const MANY: u32 = 100_000;
    let before = counted();
    assert_eq!(allocations("info", None, "/s/Hot"), 0);
    assert!(counted() >= before + 2, "both calls are counted");
    let count = || {
        meters::VERDICTS_GIVEN.count(0);
        meters::BARRIER.record(0, std::time::Duration::from_micros(50));
        meters::RPC_CALLS.record("s/Cost", "OK", false, std::time::Duration::from_micros(50));
        meters::LIMIT_ASKS.count(0);
    };
    count();
    assert_eq!(allocation_counter::measure(count).count_total, 0);
    let begun = std::time::Instant::now();
    (0..MANY).for_each(|_| count());
    let each = begun.elapsed() / MANY;
    println!("four instruments, one thread: {each:?}");
    // Unoptimised, on a machine that does other things too.
    assert!(each < std::time::Duration::from_micros(20), "{each:?}");
}
