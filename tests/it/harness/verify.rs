//! What Verify is asked, and changes of what it is asked about.

use portcullis::pb::{self, get_rate_limit_request, verify_key_request::Subject};
use tonic::Status;

use super::{Persona, Server, mask, times};

/// About a key's text, with no facts.
pub(crate) fn about(secret: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest { subject: Some(Subject::Secret(secret.to_owned())), ..Default::default() }
}

/// About a key by its id, which only a dry run may.
pub(crate) fn about_id(key_id: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest { subject: Some(Subject::KeyId(key_id.to_owned())), dry_run: true, ..Default::default() }
}

pub(crate) fn rate_limit(name: &str, limit: i64, seconds: i64) -> pb::RateLimit {
    pb::RateLimit { name: name.to_owned(), limit, window: times::seconds(seconds) }
}

pub(crate) fn ttl(seconds: i64) -> Option<pb::create_key_request::Expiration> {
    Some(pb::create_key_request::Expiration::Ttl(prost_types::Duration { seconds, nanos: 0 }))
}

impl Server {
    pub(crate) async fn ask(&self, by: &Persona, question: &pb::VerifyKeyRequest) -> Result<Answer, Status> {
        self.by_token(by, "KeyService/VerifyKey", question).await
    }

    /// The verdict over a question of the admin's.
    pub(crate) async fn verdict_on(&self, question: &pb::VerifyKeyRequest) -> pb::Verdict {
        self.ask(&self.admin, question).await.expect("verify").verdict()
    }

    /// Sets the fields in `paths` of a key to those of a wish.
    pub(crate) async fn update(&self, key: &pb::Key, paths: &[&str], wish: pb::Key) -> pb::UpdateKeyResponse {
        self.try_update(key, paths, wish).await.expect("update")
    }

    pub(crate) async fn try_update(
        &self,
        key: &pb::Key,
        paths: &[&str],
        wish: pb::Key,
    ) -> Result<pb::UpdateKeyResponse, Status> {
        self.signed(&self.admin, "KeyService/UpdateKey", &update(key, paths, wish)).await
    }

    pub(crate) async fn remaining(&self, secret: &str) -> Vec<(String, i64)> {
        let subject = Some(get_rate_limit_request::Subject::Secret(secret.to_owned()));
        let request = pb::GetRateLimitRequest { subject, ..Default::default() };
        let told: pb::GetRateLimitResponse =
            self.by_token(&self.admin, "KeyService/GetRateLimit", &request).await.expect("limits");
        told.rate_limits.into_iter().map(|limit| (limit.name, limit.remaining)).collect()
    }
}

pub(crate) type Answer = pb::VerifyKeyResponse;

/// The request that sets the fields in `paths` of a key to those of a wish.
pub(crate) fn update(key: &pb::Key, paths: &[&str], wish: pb::Key) -> pb::UpdateKeyRequest {
    let (application_id, key_id) = (key.application_id.clone(), key.key_id.clone());
    let wish = pb::Key { application_id, key_id, ..wish };
    pb::UpdateKeyRequest { key: Some(wish), update_mask: mask(paths), wait: 0 }
}
