use tokio::time::Instant;

use super::{Keys, Subject};
use crate::{
    auth::Caller,
    domain::{
        balance::Balance,
        id::{ApplicationId, KeyId, Revision},
        refusal::Refusal,
    },
};

/// Whose limits are wanted.
#[derive(Debug)]
pub struct GetRateLimit {
    pub subject: Subject,
    /// A key of another application is not found.
    pub application_id: Option<ApplicationId>,
}

/// How a key stands in each of its limits and quotas.
#[derive(Debug)]
pub struct RateLimits {
    pub key_id: KeyId,
    pub balances: Vec<Balance>,
    pub revision: Revision,
}

impl Keys {
    /// Where a key stands in its limits, for a next call of cost 1. Spends nothing.
    pub async fn rate_limit(&self, caller: &Caller, get: &GetRateLimit, until: Instant) -> Result<RateLimits, Refusal> {
        if let Some(application) = get.application_id {
            caller.must_see(application)?;
        }
        let found = self.find(caller, get.subject, get.application_id).await?.map_err(|_| Refusal::KeyNotFound)?;
        let balances = self.balances(&found, 1, until).await?;
        Ok(RateLimits { key_id: found.key.id, balances, revision: found.revision })
    }
}
