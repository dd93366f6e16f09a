//! Keys with limits, and what is left of them.

use portcullis::pb;
use tonic::Status;

use super::{
    Headers, Server, mask, message_bytes,
    verify::{Answer, about},
};

/// Name, limit and remaining.
pub(crate) type Left<'a> = (&'a str, i64, i64);

/// How an answer says that each limit stands.
pub(crate) fn left(limits: &[pb::RateLimitStatus]) -> Vec<Left<'_>> {
    limits.iter().map(|limit| (limit.name.as_str(), limit.limit, limit.remaining)).collect()
}

pub(crate) fn quota(limit: i64, period: pb::QuotaPeriod) -> pb::Quota {
    pb::Quota { limit, period: period.into() }
}

impl Server {
    /// A key with limits of its own that may `tasks:read`.
    pub(crate) async fn limited(&self, rate_limits: &[pb::RateLimit], quotas: &[pb::Quota]) -> pb::CreateKeyResponse {
        self.key_with(|request| {
            request.rate_limits = rate_limits.to_vec();
            request.quotas = quotas.to_vec();
        })
        .await
    }

    pub(crate) async fn try_spend(&self, secret: &str, cost: i64) -> Result<Answer, Status> {
        self.ask(&self.admin, &pb::VerifyKeyRequest { cost, ..about(secret) }).await
    }

    pub(crate) async fn spend(&self, secret: &str, cost: i64) -> Answer {
        self.try_spend(secret, cost).await.expect("verify")
    }

    /// A call with headers that were made before: a token is dear to sign.
    pub(crate) async fn spend_by(&self, headers: &Headers, secret: &str) -> Answer {
        self.with_headers("KeyService/VerifyKey", message_bytes(&about(secret)), headers).await.expect("verify")
    }

    /// Calls until one is refused: how many passed, and the refused one.
    pub(crate) async fn spend_all(&self, secret: &str) -> (i64, Answer) {
        let headers = Headers::bearer(&self.admin.token(self));
        for passed in 0..20_000 {
            let answer = self.spend_by(&headers, secret).await;
            if answer.verdict() != pb::Verdict::Valid {
                return (passed, answer);
            }
        }
        panic!("20,000 calls, and never refused");
    }

    pub(crate) async fn rate_limit(
        &self,
        request: &pb::GetRateLimitRequest,
    ) -> Result<pb::GetRateLimitResponse, Status> {
        self.by_token(&self.admin, "KeyService/GetRateLimit", request).await
    }

    /// Sets the plan of the server's application, and the limits that are its own.
    pub(crate) async fn set_plan(&self, plan: pb::Plan, rate_limits: &[pb::RateLimit]) -> i64 {
        let application = pb::Application {
            application_id: self.app.clone(),
            plan: plan.into(),
            rate_limits: rate_limits.to_vec(),
            ..Default::default()
        };
        let request = pb::UpdateApplicationRequest {
            application: Some(application),
            update_mask: mask(&["plan", "rate_limits"]),
        };
        let updated: pb::UpdateApplicationResponse =
            self.signed(&self.admin, "ApplicationService/UpdateApplication", &request).await.expect("update");
        updated.revision
    }
}
