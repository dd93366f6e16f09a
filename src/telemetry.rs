//! Logs, traces and request ids, and the way of metrics to a collector: what is counted is `meters`'.
//!
//! ```text
//! RequestIdLayer   outermost: every answer carries x-request-id
//! └ RpcLayer       one record a call, written when it is dropped:
//!                  a log line (portcullis::rpc), and a span if the call was sampled
//! ```
//!
//! What leaves the process holds a method name of ours, a status code, a duration, a
//! request id and the peer's address; no metadata, no message of a call, no text that the
//! caller chose but the request id, which is 1 to 64 of `[A-Za-z0-9._-]`. A refusal's line has
//! its words too, which repeat at most what was read as an id, a permission, an address or an
//! origin: never a text that was not understood.
//!
//! Spans are exported for calls that [`Sampler`] picked before anything was built for
//! them. The sampled flag of a caller's `traceparent` is never asked: whoever could set
//! it could choose what this server spends.

mod budget;
mod call;
mod code;
mod export;
mod failures;
mod headers;
mod init;
#[cfg(test)]
pub(crate) mod lines;
mod logs;
mod metrics;
mod outlet;
mod panics;
mod push;
mod queue;
mod request_id;
mod rpc_layer;
mod sampler;
mod settings;
mod spans;
mod trace;

pub use budget::Budget;
pub use call::{Method, MethodKind, Refused};
pub use headers::OtlpHeaders;
pub use init::{Guard, InitError, init, subscriber};
pub use request_id::{InvalidRequestId, RequestId, RequestIdFuture, RequestIdLayer, RequestIdService};
pub use rpc_layer::{Methods, RpcBody, RpcFuture, RpcLayer, RpcService};
pub use sampler::Sampler;
pub use settings::{InvalidSetting, LogFilter, LogFormat, MetricInterval, OtlpEndpoint, SampleRatio, Sent, Settings};

/// The target of the line and of the exported span of every call:
/// `--log info,portcullis::rpc=debug` shows all calls.
pub const RPC_TARGET: &str = "portcullis::rpc";

/// The target of the span that gives log lines their request id. Never exported.
const LOG_CONTEXT: &str = "portcullis::log";
