//! A name for every call: the caller's `x-request-id`, or one of ours.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 64;

/// 1 to 64 of `[A-Za-z0-9._-]`, so that it can stand in a log, a header and a trace as it is.
/// In the extensions of every request behind [`RequestIdLayer`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

/// Not 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 1 to 64 of [A-Za-z0-9._-]")]
pub struct InvalidRequestId;

impl RequestId {
    /// 32 lowercase hexadecimal digits.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(str::from_utf8(&text).expect("digits are ASCII").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The caller's own, if it sent exactly one that is good.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok()?.parse().ok(),
            _ => None,
        }
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > MAX_LENGTH || !text.bytes().all(good) {
            return Err(InvalidRequestId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The outermost layer: puts a [`RequestId`] into the request's extensions, and the same
/// into the `x-request-id` header of the answer, whatever the answer is.
#[derive(Clone)]
pub struct RequestIdLayer {
    generate: Arc<dyn Fn() -> RequestId + Send + Sync>,
}

impl RequestIdLayer {
    /// `generate` names the calls that bring no good name; it must not repeat itself.
    pub fn new(generate: impl Fn() -> RequestId + Send + Sync + 'static) -> Self {
        Self { generate: Arc::new(generate) }
    }
}

impl fmt::Debug for RequestIdLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestIdLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestIdService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestIdService { inner, layer: self.clone() }
    }
}

/// Made by [`RequestIdLayer`].
#[derive(Debug, Clone)]
pub struct RequestIdService<S> {
    inner: S,
    layer: RequestIdLayer,
}

impl<S, B, R> Service<Request<B>> for RequestIdService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RequestIdFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = RequestId::of(request.headers()).unwrap_or_else(|| (self.layer.generate)());
        request.extensions_mut().insert(id.clone());
        RequestIdFuture { inner: self.inner.call(request), id }
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub struct RequestIdFuture<F> {
        #[pin]
        inner: F,
        id: RequestId,
    }
}

impl<F, R, E> Future for RequestIdFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let mut value = HeaderValue::from_str(this.id.as_str()).expect("a RequestId is visible ASCII");
        // No secret, but never sent again: this mark keeps it out of HPACK's table of what comes
        // again, where it would push out what does.
        value.set_sensitive(true);
        response.headers_mut().insert(HEADER, value);
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::service_fn;

    use super::*;

    /// Sends a request with these headers; gives back what the service saw and what the answer says.
    async fn sent(ids: &[&[u8]]) -> (String, String) {
        let echo = service_fn(|request: Request<()>| async move {
            let seen = request.extensions().get::<RequestId>().expect("in the extensions").to_string();
            // An answer may not bring its own.
            Ok::<_, Infallible>(Response::builder().header(HEADER, "inner").body(seen).expect("response"))
        });
        let mut request = Request::new(());
        for id in ids {
            request.headers_mut().append(HEADER, HeaderValue::from_bytes(id).expect("header"));
        }
        let layer = RequestIdLayer::new(|| RequestId::from_random([0xa5; 16]));
        let response = layer.layer(echo).call(request).await.expect("infallible");
        assert_eq!(response.headers().get_all(HEADER).iter().count(), 1);
        (response.body().clone(), response.headers()[HEADER].to_str().expect("ASCII").to_owned())
    }

    #[tokio::test]
    async fn a_good_id_is_kept() {
        let longest = "x".repeat(64);
        for id in ["a", "Az09._-", "6f1c2f0e-0b0e-4a52-9d3c-1d6f0f0e7a11", &longest] {
            assert_eq!(sent(&[id.as_bytes()]).await, (id.to_owned(), id.to_owned()));
        }
    }

    #[tokio::test]
    async fn any_other_is_replaced() {
        let (made, long) = ("a5".repeat(16), "x".repeat(65));
        let bad: [&[&[u8]]; 8] =
            [&[], &[b""], &[b" a"], &[b"a b"], &[b"a\"b"], &["\u{e9}".as_bytes()], &[long.as_bytes()], &[b"a", b"b"]];
        for ids in bad {
            assert_eq!(sent(ids).await, (made.clone(), made.clone()), "{ids:?}");
        }
    }
}
