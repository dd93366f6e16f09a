//! Counts calls, and refuses those that are too many before any work is done for them. Health is
//! answered all the same: a server that is busy must not be taken for one that is gone.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::{Either, Ready, ready as answer};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, Service};

use super::{
    listen::{Peer, Use},
    status::{reason, status},
};
use crate::{
    auth::Method,
    domain::refusal::Refusal,
    guard::{self, Guard},
    meters, telemetry,
};

/// Outermost: counts each call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountLayer;

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count { inner }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Count<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Count<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<Counted<R, Use>>;
    type Error = S::Error;
    type Future = CountFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (places, address) = match request.extensions().get::<Peer>() {
            Some(peer) => (Some(peer.begin()), Some(peer.address)),
            None => (None, None),
        };
        // By this name the peer is known to telemetry.
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: address });
        let (under_way, used) = places.unzip();
        CountFuture { inner: self.inner.call(request), under_way, used }
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub(super) struct CountFuture<F> {
        #[pin]
        inner: F,
        under_way: Option<super::listen::Underway>,
        used: Option<Use>,
    }
}

impl<F, R, E> Future for CountFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<Counted<R, Use>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context));
        drop(this.under_way.take());
        let held = this.used.take();
        Poll::Ready(response.map(|response| response.map(|inner| Counted { inner, held })))
    }
}

pin_project! {
    /// A body, and what is held until its end.
    #[derive(Debug)]
    pub(super) struct Counted<B, H> {
        #[pin]
        inner: B,
        held: Option<H>,
    }
}

impl<B: HttpBody, H> HttpBody for Counted<B, H> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Behind what logs and completes errors, before the caller is proven.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShedLayer;

impl<S> Layer<S> for ShedLayer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Shed<S> {
        Shed { inner }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Shed<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Shed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let full = request.extensions().get::<Peer>().and_then(Peer::is_overloaded);
        if full.is_some() && !is_health(request.uri().path()) && guard::on(Guard::Shed) {
            let method = Method::find(request.uri().path()).map_or(telemetry::Method::OTHER.name, Method::name);
            meters::REFUSED_CALLS.count([method, reason(&Refusal::Overloaded)]);
            return Either::Right(answer(Ok(status(&Refusal::Overloaded).into_http())));
        }
        Either::Left(self.inner.call(request))
    }
}

fn is_health(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/")
}
