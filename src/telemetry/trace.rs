//! The exported span of a sampled call.
//!
//! Names follow OpenTelemetry's semantic conventions 1.45.0 for gRPC servers, the first that
//! are stable; the schema URL of the exported scope says so. Left out on purpose:
//! `rpc.method_original`, `server.address` and metadata, which are text of the caller's choice.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, Request};
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::{TraceContextExt as _, TraceId},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Method, RPC_TARGET, RequestId, code::Code};

/// Says which version of the conventions the names are of.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";

/// Opens the span, as a child of the caller's `traceparent` where there is one.
pub(super) fn open<B>(method: Method, id: Option<&RequestId>, request: &Request<B>) -> (Span, Option<TraceId>) {
    let known = method != Method::OTHER;
    let peer = peer(request.extensions());
    let span = tracing::info_span!(
        target: RPC_TARGET,
        parent: None,
        "rpc",
        otel.name = if known { method.name } else { "grpc" },
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method.name,
        portcullis.request_id = id.map(RequestId::as_str),
        network.peer.address = peer.map(|p| tracing::field::display(p.ip())),
        network.peer.port = peer.map(|p| p.port()),
        rpc.status_code = Empty,
        error.type = Empty,
        otel.status_code = Empty,
    );
    let parent = TraceContextPropagator::new().extract(&TraceParent(request.headers()));
    if parent.span().span_context().is_valid() {
        // Fails only where no OpenTelemetry layer listens, and then there is nothing to lose.
        let _ = span.set_parent(parent);
    }
    let trace_id = span.context().span().span_context().trace_id();
    (span, (trace_id != TraceId::INVALID).then_some(trace_id)) // invalid once the exporter has stopped
}

/// Writes the outcome. The span ends here, whoever still holds it.
pub(super) fn finish(span: &Span, code: Code) {
    let _entered = span.enter(); // the time of the last exit is the end that is exported
    span.record("rpc.status_code", code.name());
    if code.is_span_error() {
        span.record("error.type", code.name());
        span.record("otel.status_code", "ERROR");
    }
}

fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    let tcp = extensions.get::<TcpConnectInfo>();
    tcp.or_else(|| extensions.get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref))?.remote_addr()
}

/// Shows the propagator nothing but one short `traceparent`: `tracestate` would carry text of
/// the caller's choice into every trace.
struct TraceParent<'a>(&'a HeaderMap);

impl Extractor for TraceParent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.0.get_all(key).iter();
        match (key, values.next(), values.next()) {
            ("traceparent", Some(value), None) if value.len() <= 128 => value.to_str().ok(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
