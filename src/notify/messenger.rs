use std::sync::Arc;

use super::{
    http::{Outcome, Post, Poster},
    reach::Reach,
    secret::{Secret, signatures},
    settings::Settings,
    vault::{NONCE, NotOpened, Vault},
};
use crate::{
    clock::Clock,
    domain::{
        delivery::Attempt,
        id::{NoticeId, WebhookId},
        refusal::Refusal,
        webhook::{Sealed, Webhook},
    },
    entropy::Entropy,
    store::Error,
};

/// Sends one message to one webhook, signed with what is in the vault for it.
#[derive(Debug, Clone)]
pub struct Messenger {
    vault: Arc<Vault>,
    poster: Poster,
    clock: Clock,
}

impl Messenger {
    #[must_use]
    pub fn new(settings: &Settings, clock: Clock) -> Self {
        let poster = Poster::new(Arc::new(settings.reach.clone()), settings.roots.clone());
        Self { vault: Arc::new(settings.vault.clone()), poster, clock }
    }

    #[must_use]
    pub fn reach(&self) -> &Reach {
        self.poster.reach()
    }

    /// As it is stored.
    pub fn seal(&self, of: WebhookId, secret: &Secret, entropy: &Entropy) -> Result<Sealed, Refusal> {
        if !self.vault.has_key() {
            return Err(Refusal::SecretsKeyMissing);
        }
        let drawn = entropy.key_material().map_err(Error::from)?;
        let nonce: [u8; NONCE] = *drawn.first_chunk().ok_or(Refusal::Internal)?;
        self.vault.seal(&of.to_string(), nonce, secret.bytes()).map(Sealed).map_err(|_| Refusal::SecretsKeyMissing)
    }

    /// Never an error: what goes wrong here is told as what goes wrong there is, and tried again. But for a key that is
    /// missing: that is the operator's to mend, and no fault of the receiver's.
    pub async fn send(&self, webhook: &Webhook, id: NoticeId, body: String) -> Attempt {
        let now = self.clock.now();
        let secrets: Result<Vec<_>, _> = webhook.signing(now).map(|sealed| self.open(webhook.id, sealed)).collect();
        let secrets = match secrets {
            Ok(secrets) => secrets,
            Err(error) => {
                let why = format!("the webhook's secret: {error}");
                return match error {
                    NotOpened::KeyMissing => Attempt::Unsigned { why },
                    NotOpened::Damaged => Attempt::Failed { status: None, why },
                };
            }
        };
        let (id, timestamp) = (id.to_string(), now.seconds());
        let Some(signature) = signatures(&secrets, &id, timestamp, body.as_bytes()) else {
            return Attempt::Failed { status: None, why: "the message cannot be signed".to_owned() };
        };
        match self.poster.post(&webhook.url, Post { id, timestamp, signature, body: body.into() }).await {
            Outcome::Delivered { status } => Attempt::Delivered { status: Some(status) },
            Outcome::Gone => Attempt::Gone,
            Outcome::Failed { status, why } => Attempt::Failed { status, why },
        }
    }

    fn open(&self, of: WebhookId, sealed: &Sealed) -> Result<Secret, NotOpened> {
        let plain = self.vault.open(&of.to_string(), &sealed.0)?;
        Secret::read(&plain).ok_or(NotOpened::Damaged)
    }
}
