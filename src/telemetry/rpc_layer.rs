//! The tower layer around every call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{
    Method, Refused, Sampler,
    call::{Budgets, Call},
    code::Code,
};

/// Looks a path (`/portcullis.v1.KeyService/VerifyKey`) up among the methods of the server.
pub type Methods = fn(&str) -> Option<Method>;

/// Writes a log line for every call, and a span for every sampled one.
///
/// A call ends with the `grpc-status` of its answer, in the headers or in the trailers. One
/// that is dropped before ends as CANCELLED (INTERNAL while panicking), one whose answer has
/// no `grpc-status` as UNKNOWN. Lines: WARN for UNKNOWN, INTERNAL, UNAVAILABLE and DATA_LOSS,
/// INFO for other errors and for mutations, DEBUG for the rest; WARN for any refusal of a
/// [`ProxyRead`](super::MethodKind::ProxyRead). Errors of the server and of its callers write at
/// most 50 lines a second each; the next one says how many were left out. An answer that is an
/// error from the start, with [`Refused`] among its extensions, is written with its reason.
#[derive(Debug, Clone, Copy)]
pub struct RpcLayer {
    methods: Methods,
    sampler: Sampler,
    budgets: &'static Budgets,
}

impl RpcLayer {
    /// To be made once for a server: what it counts lives as long as the process.
    pub fn new(methods: Methods, sampler: Sampler) -> Self {
        // Leaked, because a count of references would be written by every core for every call.
        Self { methods, sampler, budgets: Box::leak(Box::new(Budgets::new())) }
    }

    fn begin<B>(&self, request: &Request<B>) -> Call {
        let method = (self.methods)(request.uri().path()).unwrap_or(Method::OTHER);
        Call::begin(method, self.sampler, self.budgets, request)
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = RpcService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RpcService { inner, layer: *self }
    }
}

/// Made by [`RpcLayer`].
#[derive(Debug, Clone)]
pub struct RpcService<S> {
    inner: S,
    layer: RpcLayer,
}

impl<S, B, R> Service<Request<B>> for RpcService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<RpcBody<R>>;
    type Error = S::Error;
    type Future = RpcFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.layer.begin(&request);
        let inner = {
            let _entered = call.enter();
            self.inner.call(request)
        };
        RpcFuture { inner, call: Some(call) }
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub struct RpcFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, R, E> Future for RpcFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<RpcBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (answer, mut call) = ready!(within(this.call, || this.inner.poll(cx)));
        let code = match &answer {
            Ok(response) => match Code::of(response.headers()) {
                None if response.body().is_end_stream() => Some(Code::UNKNOWN),
                code => code,
            },
            Err(_) => Some(Code::UNKNOWN),
        };
        let refused = answer.as_ref().ok().and_then(|response| response.extensions().get());
        finish(&mut call, code, refused);
        Poll::Ready(answer.map(|response| response.map(|inner| RpcBody { inner, call })))
    }
}

pin_project! {
    /// A body that ends its call with the code in its trailers.
    #[derive(Debug)]
    pub struct RpcBody<B> {
        #[pin]
        inner: B,
        call: Option<Call>,
    }
}

impl<B: Body> Body for RpcBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let (frame, mut call) = ready!(within(this.call, || this.inner.poll_frame(cx)));
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().map(|trailers| Code::of(trailers).unwrap_or(Code::UNKNOWN)),
            Some(Err(_)) | None => Some(Code::UNKNOWN),
        };
        finish(&mut call, code, None);
        *this.call = call;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Polls inside the call's spans, and hands the call out with what came. While `poll` runs the
/// call lives on the stack, so that a panic ends it as one, whoever catches it.
fn within<T>(slot: &mut Option<Call>, poll: impl FnOnce() -> Poll<T>) -> Poll<(T, Option<Call>)> {
    let call = slot.take();
    let polled = {
        let _entered = call.as_ref().and_then(Call::enter);
        poll()
    };
    match polled {
        Poll::Ready(value) => Poll::Ready((value, call)),
        Poll::Pending => {
            *slot = call;
            Poll::Pending
        }
    }
}

/// Ends the call if the code is known by now.
fn finish(call: &mut Option<Call>, code: Option<Code>, refused: Option<&Refused>) {
    if let Some(code) = code
        && let Some(call) = call.take()
    {
        call.finish(code, refused);
    }
}

#[cfg(test)]
mod tests;
