//! Envoy's `ext_authz`: the question of `VerifyKey`, asked about an HTTP request and answered
//! as one. What the client sent never decides but through the key; what the route says in its
//! `context_extensions` does.

mod answer;
mod headers;
mod identity;
mod limits;
mod question;

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, authorization_server::Authorization};
use tonic::{Request, Response, Status};

use super::unpack;
use crate::{
    domain::refusal::{Refusal, Violations},
    keys::Keys,
    telemetry::{Budget, RequestId},
};
use answer::Denial;
use question::{NotAsked, Question};

#[derive(Debug)]
pub(super) struct EnvoyApi {
    keys: Arc<Keys>,
    /// Anybody who can reach a route that is set up wrongly could fill the log.
    told: Budget,
}

impl EnvoyApi {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, told: Budget::new() }
    }

    /// An error where it is not known whether the key is good: Envoy's `failure_mode_allow`
    /// decides then. Whatever is known to be wrong is a denial, which no setting overrides.
    async fn decide(&self, request: &Request<CheckRequest>) -> Result<CheckResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let request_id = unpack::request_id(request).ok_or(Refusal::Internal)?;
        let refused = |denial| answer::denied(denial, Vec::new(), request_id.as_str());
        let question = match Question::read(request.get_ref()) {
            Ok(question) => question,
            Err(NotAsked::NotHttp) => {
                let what = "is required: only HTTP requests are decided";
                return Err(Refusal::FieldInvalid(Violations::one("attributes.request.http", what)));
            }
            Err(NotAsked::Route(wrong)) => {
                self.tell(&wrong, &request_id);
                return Ok(refused(Denial::ROUTE_INVALID));
            }
            Err(NotAsked::KeyMissing) => return Ok(refused(Denial::KEY_MISSING)),
            Err(NotAsked::KeysDiffer) => return Ok(refused(Denial::KEYS_DIFFER)),
        };
        let found = self.keys.verify(caller, &question.verify, || unpack::deadline(request)).await?;
        let limits = limits::headers(&found.balances, found.retry_after);
        match (Denial::of(found.verdict, found.retry_after), &found.key) {
            (Some(denial), _) => Ok(answer::denied(denial, limits, request_id.as_str())),
            (None, Some(key)) => Ok(answer::allowed(key, &question.sent, limits)),
            (None, None) => Err(Refusal::Internal), // good, and nobody's: no such answer is made
        }
    }

    fn tell(&self, wrong: &Violations, request_id: &RequestId) {
        let Some(left_out) = self.told.take() else { return };
        let wrong = question::for_the_log(wrong);
        tracing::warn!(%request_id, left_out, %wrong, "an Envoy route is set up wrongly: its requests are refused");
    }
}

#[tonic::async_trait]
impl Authorization for EnvoyApi {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.decide(&request).await?))
    }
}
