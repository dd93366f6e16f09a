//! What a call holds for as long as its answer lasts, streams to their last message.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use super::listen::{Peer, Use};

/// Outermost: each call is a use of its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedLayer;

impl<S> Layer<S> for UsedLayer {
    type Service = Used<S>;

    fn layer(&self, inner: S) -> Used<S> {
        Used { inner }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Used<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Used<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<Holding<R, Use>>;
    type Error = S::Error;
    type Future = UsedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let (used, remote_addr) = (peer.map(Peer::begin), peer.map(|peer| peer.address));
        // By this name the peer is known to telemetry.
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        UsedFuture { inner: self.inner.call(request), used }
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub(super) struct UsedFuture<F> {
        #[pin]
        inner: F,
        used: Option<Use>,
    }
}

impl<F, R, E> Future for UsedFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<Holding<R, Use>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context));
        let held = this.used.take();
        Poll::Ready(response.map(|response| response.map(|inner| Holding { inner, held })))
    }
}

pin_project! {
    /// A body, and what is held until its end.
    #[derive(Debug)]
    pub(super) struct Holding<B, H> {
        #[pin]
        pub(super) inner: B,
        pub(super) held: Option<H>,
    }
}

impl<B: HttpBody, H> HttpBody for Holding<B, H> {
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
