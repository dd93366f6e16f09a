//! What is said of the services themselves. The library that says it ends with OK and no answer where a message is
//! too large: what is asked is bounded here, and the end says why.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tonic::{Status, body::Body, server::NamedService, service::Routes};
use tonic_reflection::server::{Builder, Error};
use tower::Service;

use super::{
    frame::{MAX_OPEN, PREFIX},
    unpack::last_status,
};
use crate::{domain::refusal::Refusal, pb, telemetry::RequestId};

/// Adds both versions of it.
pub(super) fn reflected(routes: Routes) -> Result<Routes, Error> {
    let (v1, v1alpha) = (builder().build_v1()?, builder().build_v1alpha()?);
    Ok(routes
        .add_service(Bounded(v1.max_decoding_message_size(MAX_OPEN)))
        .add_service(Bounded(v1alpha.max_decoding_message_size(MAX_OPEN))))
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl can read the details of an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// Around one of them.
#[derive(Debug, Clone)]
struct Bounded<S>(S);

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request_id = request.extensions().get::<RequestId>().cloned();
        let too_large = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&too_large);
        let request = request.map(|inner| Body::new(Asked { inner, sizes: Sizes::default(), too_large: seen }));
        let answer = self.0.call(request);
        Box::pin(async move { Ok(answer.await?.map(|inner| Body::new(Told { inner, too_large, request_id }))) })
    }
}

pin_project! {
    /// What is asked. Over before a message that is too large.
    struct Asked {
        #[pin]
        inner: Body,
        sizes: Sizes,
        too_large: Arc<AtomicBool>,
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if this.too_large.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        let next = ready!(this.inner.poll_frame(context));
        if let Some(Ok(frame)) = &next
            && let Some(data) = frame.data_ref()
            && !this.sizes.fit(data)
        {
            this.too_large.store(true, Ordering::Release);
            return Poll::Ready(None);
        }
        Poll::Ready(next)
    }
}

pin_project! {
    /// What is answered, and at its end why that is one.
    struct Told {
        #[pin]
        inner: Body,
        too_large: Arc<AtomicBool>,
        request_id: Option<RequestId>,
    }
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let next = ready!(this.inner.poll_frame(context));
        let is_end = matches!(&next, Some(Ok(frame)) if frame.is_trailers());
        if !is_end || !this.too_large.load(Ordering::Acquire) {
            return Poll::Ready(next);
        }
        let status = last_status(&Refusal::MessageTooLarge { limit: MAX_OPEN }, this.request_id.as_ref());
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

/// The sizes of messages, as their prefixes say.
#[derive(Debug, Default)]
struct Sizes {
    /// What is here of a prefix.
    prefix: [u8; PREFIX],
    here: usize,
    /// Of the message that has begun.
    to_come: usize,
}

impl Sizes {
    /// Takes what comes next. `false`: a message begins there that is too large.
    fn fit(&mut self, mut data: &[u8]) -> bool {
        while !data.is_empty() {
            let of_message = self.to_come.min(data.len());
            self.to_come -= of_message;
            data = &data[of_message..];
            let of_prefix = (PREFIX - self.here).min(data.len());
            self.prefix[self.here..self.here + of_prefix].copy_from_slice(&data[..of_prefix]);
            self.here += of_prefix;
            data = &data[of_prefix..];
            if self.here == PREFIX {
                let [_, a, b, c, d] = self.prefix;
                self.to_come = u32::from_be_bytes([a, b, c, d]) as usize;
                self.here = 0;
                if self.to_come > MAX_OPEN {
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(size: usize) -> Vec<u8> {
        let prefix = u32::try_from(size).expect("short").to_be_bytes();
        [&[0], &prefix[..], &vec![0xff; size]].concat()
    }

    proptest! {
        #[test]
        fn a_message_that_is_too_large_is_seen_wherever_the_bytes_are_cut(
            before in prop::collection::vec(0..=MAX_OPEN, 0..4),
            more in 0..10_usize,
            piece in 1..6000_usize,
        ) {
            let sizes = || before.iter().copied().chain([MAX_OPEN + more]);
            let bytes: Vec<u8> = sizes().flat_map(framed).collect();
            let mut seen = Sizes::default();
            prop_assert_eq!(bytes.chunks(piece).all(|piece| seen.fit(piece)), more == 0);
        }
    }
}
