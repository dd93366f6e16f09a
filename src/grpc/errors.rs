//! Every error says why: those that tonic makes by itself get a reason, and each gets the
//! request id. The log is told why, too.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};

use super::{
    frame::MAX_MESSAGE,
    status::{reason_of, status},
};
use crate::{
    domain::refusal::{Refusal, Violations},
    telemetry::{Refused, RequestId},
};

/// Puts [`Errors`] around a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorsLayer;

impl<S> Layer<S> for ErrorsLayer {
    type Service = Errors<S>;

    fn layer(&self, inner: S) -> Errors<S> {
        Errors { inner }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Errors<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Errors<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ErrorsFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request_id = request.extensions().get::<RequestId>().cloned();
        ErrorsFuture { answer: self.inner.call(request), request_id }
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub(super) struct ErrorsFuture<F> {
        #[pin]
        answer: F,
        request_id: Option<RequestId>,
    }
}

impl<F, E> Future for ErrorsFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(context))?;
        let failed = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok);
        Poll::Ready(Ok(match (failed, this.request_id) {
            (Some(failed), Some(request_id)) => refused(complete(failed, request_id)),
            _ => response,
        }))
    }
}

/// The answer, with what the call's log line says beside the code. Only the words of a reason
/// of ours: those of a library may hold anything.
fn refused(status: Status) -> Response<Body> {
    let refused = reason_of(&status).map(|reason| Refused { reason, message: status.message().to_owned() });
    let mut response = status.into_http();
    if let Some(refused) = refused {
        response.extensions_mut().insert(refused);
    }
    response
}

/// A status with a reason and the request id.
pub(super) fn complete(failed: Status, request_id: &RequestId) -> Status {
    let failed = with_reason(failed);
    let mut details = failed.get_error_details();
    details.set_request_info(request_id.as_str(), "");
    Status::with_error_details(failed.code(), failed.message(), details)
}

/// A status as it is, or with a reason if tonic made it before a method of ours ran.
pub(super) fn with_reason(failed: Status) -> Status {
    if failed.get_error_details().error_info().is_some() {
        return failed;
    }
    let refusal = match failed.code() {
        Code::OutOfRange | Code::ResourceExhausted => Refusal::MessageTooLarge { limit: MAX_MESSAGE },
        Code::Unimplemented if failed.message().is_empty() => Refusal::MethodNotFound,
        Code::Unimplemented => body_invalid("send it uncompressed"),
        Code::Internal | Code::InvalidArgument | Code::Unknown => {
            body_invalid("does not read as this method's request")
        }
        _ => return failed,
    };
    tracing::debug!(%failed, "tonic refused a message");
    status(&refusal)
}

pub(super) fn body_invalid(what: &'static str) -> Refusal {
    Refusal::FieldInvalid(Violations::one("the message", what))
}
