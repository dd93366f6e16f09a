//! The interceptor that every call passes: it proves the caller before anything behind it
//! runs. A tower layer and not a `tonic::Interceptor`, which sees neither the path nor the
//! message. What is not named in the protos does not pass.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{
    errors::with_reason,
    listen::Peer,
    proof::{let_in, prove},
    status::{reason, reason_of, status},
    used::Holding,
};
use crate::{
    auth::{Authenticator, Method, is_open},
    domain::{act::Act, refusal::Refusal},
    meters, telemetry,
};

/// When the answer to a call must be on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

/// How long a call without a deadline may wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts [`Gate`] around a service.
#[derive(Debug, Clone)]
pub(super) struct GateLayer {
    pub(super) auth: Arc<Authenticator>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, auth: Arc::clone(&self.auth) }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    auth: Arc<Authenticator>,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone is not known to be ready; the one that was asked is.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let auth = Arc::clone(&self.auth);
        Box::pin(async move {
            if is_open(request.uri().path()) {
                return match let_in(&mut request).await {
                    Ok(held) => Ok(inner.call(request).await?.map(|inner| Body::new(Holding { inner, held }))),
                    Err(refusal) => Ok(refused(&request, &refusal)),
                };
            }
            let (act, _under_way) = match prove(&auth, &mut request).await {
                Ok(proven) => proven,
                Err(refusal) => return Ok(refused(&request, &refusal)),
            };
            let Some(act) = act else { return in_time(inner.call(request)).await };
            let (until, peer) = (last_moment(&request), request.extensions().get::<Peer>().cloned());
            // In a task of its own: whoever goes away early leaves no refusal unnoted.
            let work = async move {
                let response = inner.call(request).await?;
                if let (None, Some(peer)) = (refused_with(&response), peer) {
                    peer.prove(); // its nonce is spent
                }
                Ok(note_refusal(&auth, act, response, until + PATIENCE).await)
            };
            match tokio::time::timeout_at(until, tokio::spawn(work.in_current_span())).await {
                Ok(Ok(response)) => response,
                Ok(Err(lost)) => {
                    tracing::error!(%lost, "a mutation did not end");
                    Ok(status(&Refusal::CommitUnknown).into_http())
                }
                // The write goes on in its own task, and nobody knows yet how it ends.
                Err(_) => Ok(status(&Refusal::CommitUnknown).into_http()),
            }
        })
    }
}

/// Counts it, unless whoever called has proven to be somebody, and lacks a role.
fn refused(request: &Request<Body>, refusal: &Refusal) -> Response<Body> {
    if !matches!(refusal, Refusal::RoleMissing(_)) {
        let method = Method::find(request.uri().path()).map_or(telemetry::Method::OTHER.name, Method::name);
        meters::REFUSED_CALLS.count([method, reason(refusal)]);
    }
    status(refusal).into_http()
}

fn refused_with(response: &Response<Body>) -> Option<Status> {
    Status::from_header_map(response.headers()).filter(|status| status.code() != tonic::Code::Ok)
}

/// A mutation that was refused on its way to the store is noted all the same, and its
/// nonce is spent: the same bytes never get another try.
async fn note_refusal(auth: &Authenticator, act: Act, response: Response<Body>, until: Instant) -> Response<Body> {
    let Some(refused) = refused_with(&response) else { return response };
    let reason = reason_of(&with_reason(refused)).unwrap_or("INTERNAL");
    if reason == "COMMITTED_NOT_CONFIRMED" {
        return response; // written, with its nonce and its audit row
    }
    if reason == "NONCE_REUSED" {
        meters::REFUSED_CALLS.count([act.method, reason]); // whoever has seen a call can repeat it
    }
    let noted = tokio::time::timeout_at(until, auth.record_refusal(act, reason)).await;
    match noted.unwrap_or(Err(Refusal::StoreUnavailable)) {
        Ok(()) => response,
        // Never *nothing was written* about what may be written.
        Err(_) if reason == "COMMIT_UNKNOWN" => response,
        // Not even the refusal could be written: the caller hears of that, and fails closed.
        Err(refusal) => status(&refusal).into_http(),
    }
}

/// The beginning of an answer to a call that writes nothing. Only the database can be slow there, and
/// most do not ask it: they need no timer. A stream has begun by then, and has its own age.
async fn in_time<E>(answer: impl Future<Output = Result<Response<Body>, E>>) -> Result<Response<Body>, E> {
    let mut answer = pin!(answer);
    if let Some(answer) = answer.as_mut().now_or_never() {
        return answer;
    }
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Ok(status(&Refusal::StoreUnavailable).into_http()),
    }
}

/// A tenth of the caller's patience, and at least 50 ms, are kept for the way back.
pub(super) fn deadline(headers: &HeaderMap) -> Instant {
    let timeout = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(read_timeout);
    let patience = timeout.unwrap_or(PATIENCE).min(PATIENCE);
    let way_back = (patience / 10).max(Duration::from_millis(50));
    Instant::now() + patience.saturating_sub(way_back)
}

/// When a mutation is answered at the latest: a little behind the moment at which the
/// barrier gives up, which knows more.
fn last_moment<T>(request: &Request<T>) -> Instant {
    const BEHIND: Duration = Duration::from_millis(20);
    let Deadline(until) = *request.extensions().get().unwrap_or(&Deadline(Instant::now() + PATIENCE));
    until + BEHIND
}

/// At most eight digits and a unit.
fn read_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_every_unit_and_no_other() {
        assert_eq!(read_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read_timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        for bad in ["", "S", "1", "123456789S", "1s", "-1S", "1é"] {
            assert_eq!(read_timeout(bad), None, "{bad}");
        }
    }
}
