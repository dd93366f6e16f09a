//! Toy services behind the layers, and the log lines that they leave.

use std::{
    convert::Infallible,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Empty};
use serde_json::Value;
use tower::service_fn;

use super::super::{MethodKind, MetricInterval, RequestId, RequestIdLayer, Sent, Settings, subscriber};
use super::*;
use crate::telemetry::lines::Lines;

const CREATE: &str = "/portcullis.v1.KeyService/CreateKey";
const GET: &str = "/portcullis.v1.KeyService/GetKey";
const VERIFY: &str = "/portcullis.v1.KeyService/VerifyKey";
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

fn methods(path: &str) -> Option<Method> {
    let (name, kind) = match path {
        CREATE => (&CREATE[1..], MethodKind::Mutation),
        GET => (&GET[1..], MethodKind::Read),
        VERIFY => (&VERIFY[1..], MethodKind::HotRead),
        CHECK => (&CHECK[1..], MethodKind::ProxyRead),
        _ => return None,
    };
    Some(Method { name, kind })
}

type Answer = Response<ToyBody>;
type ToyBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// An answer whose status is in its headers.
fn in_headers(code: &'static str) -> Answer {
    Response::builder().header("grpc-status", code).body(Empty::new().boxed_unsync()).expect("response")
}

/// As `in_headers`, with why.
fn refused(code: &'static str) -> Answer {
    let mut answer = in_headers(code);
    answer.extensions_mut().insert(Refused { reason: "TOKEN_INVALID", message: "it is\nover".to_owned() });
    answer
}

/// An answer whose status is in its trailers.
fn in_trailers(code: &'static str) -> Answer {
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))]);
    Response::new(Empty::new().with_trailers(async { Some(Ok(trailers)) }).boxed_unsync())
}

impl Lines {
    fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
    }

    /// Level, method and code of each line.
    fn outcomes(&self) -> Vec<(String, String, String)> {
        let field = |line: &Value, name: &str| line[name].as_str().expect(name).to_owned();
        self.json().iter().map(|line| (field(line, "level"), field(line, "method"), field(line, "code"))).collect()
    }
}

/// What `calls` leave in the log at this level.
fn logged(level: &str, calls: impl AsyncFnOnce(RpcLayer)) -> Lines {
    let settings = Settings {
        log: level.parse().expect("level"),
        log_format: super::super::LogFormat::Json,
        otlp_endpoint: None,
        otlp_sample_ratio: "1".parse().expect("ratio"),
        otlp_metric_interval: MetricInterval::default(),
        otlp_signals: Sent::ALL.into(),
        otlp_headers: None,
    };
    let lines = Lines::default();
    let writer = lines.clone();
    let (subscriber, guard) = subscriber(&settings, move || writer.clone(), false).expect("subscriber");
    let layer = RpcLayer::new(methods, guard.sampler());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    tracing::subscriber::with_default(subscriber, || runtime.block_on(calls(layer)));
    lines
}

fn request(path: &str) -> Request<()> {
    let mut request = Request::builder().uri(path).body(()).expect("request");
    request.extensions_mut().insert("call-1".parse::<RequestId>().expect("id"));
    request
}

/// Calls a service that gives this answer, and reads the answer to its end.
async fn call(layer: RpcLayer, path: &str, answer: Answer) {
    let mut answer = Some(answer);
    let mut service = layer.layer(service_fn(move |_: Request<()>| {
        let answer = answer.take().expect("one call");
        async { Ok::<_, Infallible>(answer) }
    }));
    let answer = service.call(request(path)).await.expect("infallible");
    answer.into_body().collect().await.expect("infallible");
}

fn outcome(level: &str, path: &str, code: &str) -> (String, String, String) {
    (level.to_owned(), path[1..].to_owned(), code.to_owned())
}

#[test]
fn at_info_mutations_and_failures_are_written() {
    let lines = logged("info", async |layer| {
        call(layer, CREATE, in_trailers("0")).await;
        call(layer, CREATE, in_headers("9")).await;
        call(layer, GET, in_trailers("0")).await;
        call(layer, GET, in_trailers("5")).await;
        call(layer, VERIFY, in_trailers("0")).await;
        call(layer, VERIFY, in_headers("16")).await;
        call(layer, VERIFY, in_headers("14")).await;
        call(layer, CREATE, in_trailers("13")).await;
    });
    assert_eq!(
        lines.outcomes(),
        [
            outcome("INFO", CREATE, "OK"),
            outcome("INFO", CREATE, "FAILED_PRECONDITION"),
            outcome("INFO", GET, "NOT_FOUND"),
            outcome("INFO", VERIFY, "UNAUTHENTICATED"),
            outcome("WARN", VERIFY, "UNAVAILABLE"),
            outcome("WARN", CREATE, "INTERNAL"),
        ]
    );
    let first = &lines.json()[0];
    assert_eq!(first["target"], "portcullis::rpc");
    assert_eq!(first["request_id"], "call-1");
    assert!(first["duration_us"].is_u64());
    let message = first["message"].as_str().expect("message");
    assert!(message.starts_with("portcullis.v1.KeyService/CreateKey answered OK in "), "{message}");
}

#[test]
fn a_refused_call_s_line_says_why_and_no_other_line_does() {
    let lines = logged("debug", async |layer| {
        for path in [CREATE, GET, VERIFY] {
            call(layer, path, refused("16")).await;
        }
        call(layer, GET, in_headers("16")).await;
        call(layer, CREATE, in_trailers("0")).await;
    });
    let json = lines.json();
    assert_eq!(json.len(), 5);
    for line in &json[..3] {
        assert_eq!((&line["level"], &line["reason"]), (&"INFO".into(), &"TOKEN_INVALID".into()), "{line}");
        assert_eq!(line["status_message"], "it is\nover", "{line}");
    }
    for line in &json[3..] {
        assert!(line.get("reason").is_none() && line.get("status_message").is_none(), "{line}");
    }
}

#[test]
fn what_a_proxy_is_refused_is_a_warning_and_within_the_callers_budget() {
    let lines = logged("info", async |layer| {
        call(layer, CHECK, refused("16")).await;
        call(layer, CHECK, refused("14")).await;
        call(layer, CHECK, in_headers("0")).await;
        let mut gone = layer.layer(service_fn(async |_: Request<()>| pending::<Result<Answer, Infallible>>().await));
        drop(gone.call(request(CHECK)));
    });
    let levels = [("WARN", "UNAUTHENTICATED"), ("WARN", "UNAVAILABLE"), ("INFO", "CANCELLED")];
    assert_eq!(lines.outcomes(), levels.map(|(level, code)| outcome(level, CHECK, code)));
    let lines = logged("info", async |layer| {
        for _ in 0..2_000 {
            call(layer, CHECK, refused("16")).await;
        }
        call(layer, CHECK, refused("14")).await;
    });
    let written = lines.outcomes();
    assert!((51..=151).contains(&written.len()), "{}", written.len());
    assert_eq!(written.last(), Some(&outcome("WARN", CHECK, "UNAVAILABLE")), "a server that fails is not hidden");
}

#[test]
fn at_debug_every_call_is_written() {
    let lines = logged("warn,portcullis::rpc=debug", async |layer| {
        call(layer, VERIFY, in_trailers("0")).await;
        call(layer, GET, in_headers("0")).await;
    });
    assert_eq!(lines.outcomes(), [outcome("DEBUG", VERIFY, "OK"), outcome("DEBUG", GET, "OK")]);
}

#[test]
fn an_answer_without_a_status_is_unknown() {
    let lines = logged("info", async |layer| {
        call(layer, GET, Response::new(Empty::new().boxed_unsync())).await;
        call(layer, GET, Response::new(Empty::new().with_trailers(async { None }).boxed_unsync())).await;
        let failing = layer.layer(service_fn(async |_: Request<()>| Err::<Answer, _>("down")));
        assert_eq!({ failing }.call(request(GET)).await.map(drop), Err("down"));
    });
    assert_eq!(lines.outcomes(), vec![outcome("WARN", GET, "UNKNOWN"); 3]);
}

#[test]
fn a_call_that_nobody_waits_for_is_cancelled() {
    let lines = logged("info", async |layer| {
        let mut never = layer.layer(service_fn(async |_: Request<()>| pending::<Result<Answer, Infallible>>().await));
        drop(never.call(request(VERIFY)));
        tokio::select! {
            biased;
            _ = never.call(request(CREATE)) => unreachable!("it never answers"),
            () = async {} => {}
        }
        let mut stream = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(in_trailers("0"))));
        drop(stream.call(request(GET)).await);
    });
    let cancelled = [VERIFY, CREATE, GET].map(|path| outcome("INFO", path, "CANCELLED"));
    assert_eq!(lines.outcomes(), cancelled);
}

#[test]
fn a_panic_is_internal() {
    let lines = logged("info", async |layer| {
        let mut service =
            layer.layer(service_fn(async |_: Request<()>| -> Result<Answer, Infallible> { panic!("toy") }));
        let mut caught = std::pin::pin!(service.call(request(GET)));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        catch_unwind(AssertUnwindSafe(|| caught.as_mut().poll(cx))).expect_err("the toy panics");
        let spawned = tokio::spawn(async move { service.call(request(GET)).await.map(drop) });
        assert!(spawned.await.expect_err("the toy panics").is_panic());
    });
    assert_eq!(lines.outcomes(), vec![outcome("WARN", GET, "INTERNAL"); 2]);
}

#[test]
fn nothing_of_the_caller_but_the_request_id_is_written() {
    let lines = logged("trace", async |layer| {
        let ids = RequestIdLayer::new(|| RequestId::from_random([7; 16]));
        let mut service = ids.layer(layer.layer(service_fn(async |_: Request<&str>| {
            tracing::info!("at work");
            let mut answer = in_headers("2");
            answer.headers_mut().insert("grpc-message", HeaderValue::from_static("canary-message"));
            Ok::<_, Infallible>(answer)
        })));
        for path in [GET, "/canary.Service/canary-method?canary-query"] {
            let request = Request::builder()
                .uri(path)
                .header("authorization", "canary-header")
                .header("canary-name", "1")
                .header("x-request-id", "canary id that is not good")
                .header("traceparent", "00-canary-canary-01")
                .body("canary-body")
                .expect("request");
            service.call(request).await.expect("infallible").into_body().collect().await.expect("infallible");
        }
    });
    assert_eq!(lines.text().matches("canary").count(), 0, "{}", lines.text());
    let json = lines.json();
    assert_eq!(json.len(), 4);
    assert_eq!(json[0]["message"], "at work");
    assert_eq!(json[0]["span"]["request_id"], "07".repeat(16), "a handler's line says which call it was");
    assert_eq!(json[0]["span"]["method"], GET[1..]);
    assert_eq!(json[3]["method"], "_OTHER");
}

#[test]
fn a_flood_of_failures_is_bounded_and_hides_neither_faults_nor_mutations() {
    let lines = logged("info", async |layer| {
        for _ in 0..2_000 {
            call(layer, VERIFY, in_headers("16")).await;
        }
        call(layer, VERIFY, in_headers("14")).await;
        call(layer, CREATE, in_headers("0")).await;
    });
    let written = lines.outcomes();
    // 50 a second, and the loop takes a fraction of one.
    assert!((52..=152).contains(&written.len()), "{}", written.len());
    assert_eq!(written[written.len() - 2..], [outcome("WARN", VERIFY, "UNAVAILABLE"), outcome("INFO", CREATE, "OK")]);
}
