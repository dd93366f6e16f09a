//! One call, from its headers to the end of its answer.

use std::{fmt, time::Duration};

use http::Request;
use opentelemetry::trace::TraceId;
use tokio::time::Instant;
use tracing::{Level, Span, enabled, error_span, span::Entered};

use super::{LOG_CONTEXT, RPC_TARGET, RequestId, Sampler, budget::Budget, code::Code, trace};
use crate::meters;

/// A method that the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// As in `portcullis.v1.KeyService/VerifyKey`: the path without its first slash.
    pub name: &'static str,
    pub kind: MethodKind,
}

/// What a method does decides what is worth a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodKind {
    /// Changes something: a line at INFO for every call.
    Mutation,
    /// A line at DEBUG, or at INFO or WARN when it fails.
    Read,
    /// As `Read`; besides, log lines of its handler carry no request id unless DEBUG is on for
    /// `portcullis::rpc`, because nothing is built for a call that will log nothing.
    HotRead,
    /// As `HotRead`; besides, a line at WARN for every refusal, because its caller is a proxy that
    /// shows nobody what it was told.
    ProxyRead,
}

/// Why a call was refused. In the extensions of the answer, for the call's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As in `TOKEN_INVALID`.
    pub reason: &'static str,
    /// What the caller is told. It holds nothing that a log must not hold.
    pub message: String,
}

impl Method {
    /// Stands for every method that the server does not know; its path is the caller's text.
    pub const OTHER: Self = Self { name: "_OTHER", kind: MethodKind::HotRead };
}

/// Shared by all calls. One each, so that failing callers do not hide a failing server.
#[derive(Debug)]
pub(super) struct Budgets {
    client_errors: Budget,
    server_faults: Budget,
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self { client_errors: Budget::new(), server_faults: Budget::new() }
    }
}

/// Writes its line and ends its span when it is dropped, so that a call which nobody waited
/// for is written too.
pub(super) struct Call {
    method: Method,
    request_id: Option<RequestId>,
    started: Instant,
    ended: bool,
    /// `None` on the hot path.
    spans: Option<Box<Spans>>,
    budgets: &'static Budgets,
}

struct Spans {
    /// Gives the handler's log lines their request id.
    context: Span,
    /// The exported one.
    trace: Span,
    trace_id: Option<TraceId>,
}

impl Call {
    pub(super) fn begin<B>(method: Method, sampler: Sampler, budgets: &'static Budgets, request: &Request<B>) -> Self {
        let request_id = request.extensions().get::<RequestId>().cloned();
        let is_hot = matches!(method.kind, MethodKind::HotRead | MethodKind::ProxyRead);
        let in_context = !is_hot || enabled!(target: RPC_TARGET, Level::DEBUG);
        let sampled = sampler.pick();
        let spans =
            (in_context || sampled).then(|| Box::new(Spans::open(method, request_id.as_ref(), sampled, request)));
        Self { method, request_id, started: Instant::now(), ended: false, spans, budgets }
    }

    /// Makes the call's spans the current ones.
    pub(super) fn enter(&self) -> Option<(Entered<'_>, Entered<'_>)> {
        self.spans.as_deref().map(|spans| (spans.context.enter(), spans.trace.enter()))
    }

    /// Ends the call with this code.
    pub(super) fn finish(mut self, code: Code, refused: Option<&Refused>) {
        self.end(code, refused);
    }

    fn end(&mut self, code: Code, refused: Option<&Refused>) {
        self.ended = true;
        let took = self.started.elapsed();
        meters::RPC_CALLS.record(self.method.name, code.name(), code.is_span_error(), took);
        self.write(code, refused, took);
        if let Some(spans) = &self.spans {
            trace::finish(&spans.trace, code);
        }
    }

    /// Writes the line, if anybody wants it.
    fn write(&self, code: Code, refused: Option<&Refused>, took: Duration) {
        macro_rules! line {
            ($level:ident, $budget:expr) => {
                // Asked first: what is not written takes no line of the budget.
                if enabled!(target: RPC_TARGET, Level::$level)
                    && let Some(left_out) = $budget
                {
                    tracing::event!(
                        target: RPC_TARGET,
                        parent: None,
                        Level::$level,
                        request_id = self.request_id.as_ref().map(RequestId::as_str),
                        method = self.method.name,
                        code = code.name(),
                        reason = refused.map(|refused| refused.reason),
                        // `message` is the line's own text.
                        status_message = refused.map(|refused| refused.message.as_str()),
                        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                        trace_id = self.spans.as_deref().and_then(|s| s.trace_id).map(tracing::field::display),
                        lines_left_out = (left_out > 0).then_some(left_out),
                        "{} answered {} in {took:?}",
                        self.method.name,
                        code.name(),
                    );
                }
            };
        }
        if code.is_server_fault() {
            line!(WARN, self.budgets.server_faults.take());
        } else if refused.is_some() && self.method.kind == MethodKind::ProxyRead {
            line!(WARN, self.budgets.client_errors.take());
        } else if code != Code::OK {
            line!(INFO, self.budgets.client_errors.take());
        } else if self.method.kind == MethodKind::Mutation {
            line!(INFO, Some(0));
        } else {
            line!(DEBUG, Some(0));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            let code = if std::thread::panicking() { Code::INTERNAL } else { Code::CANCELLED };
            self.end(code, None);
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Spans {
    fn open<B>(method: Method, id: Option<&RequestId>, sampled: bool, request: &Request<B>) -> Self {
        let id_text = id.map(RequestId::as_str);
        // An error_span, so that it is there for the lines of every level that is on.
        let context = error_span!(target: LOG_CONTEXT, parent: None, "rpc", request_id = id_text, method = method.name);
        if !sampled {
            return Self { context, trace: Span::none(), trace_id: None };
        }
        let (trace, trace_id) = context.in_scope(|| trace::open(method, id, request));
        Self { context, trace, trace_id }
    }
}
