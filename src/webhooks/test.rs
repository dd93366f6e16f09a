use tokio::time::timeout_at;

use super::{Webhooks, actor_of};
use crate::{
    domain::{
        act::Act,
        delivery::Attempt,
        id::{ApplicationId, NoticeId, Revision, WebhookId},
        refusal::Refusal,
        webhook::WEBHOOK_TEST,
    },
    replica::{Patience, Wait},
    store::Error,
};

/// A webhook to be tried.
#[derive(Debug, Clone, Copy)]
pub struct TestWebhook {
    pub application_id: Option<ApplicationId>,
    pub webhook_id: WebhookId,
}

/// What came back.
#[derive(Debug)]
pub struct Tested {
    pub attempt: Attempt,
    pub message_id: NoticeId,
}

impl Webhooks {
    /// Sends one message by the same way as all others, once, and waits for the answer.
    pub async fn test(&self, act: Act, test: TestWebhook, patience: Patience) -> Result<(Tested, Revision), Refusal> {
        let _place = self.tests.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let committed = self
            .store
            .write(act, async move |tx| {
                actor_of(&tx, test.application_id)?;
                Ok((tx.webhook(test.application_id, test.webhook_id).await?, tx.now()))
            })
            .await?;
        // Nothing was changed that a replica could answer by.
        let nobody = Patience { wait: Wait::None, ..patience };
        let ((webhook, now), revision) = self.replica.confirm(committed, nobody).await?;
        let message_id = NoticeId::new(self.entropy.uuid(now).map_err(Error::from)?);
        let body = serde_json::json!({
            "type": WEBHOOK_TEST,
            "timestamp": now.to_string(),
            "data": {
                "application_id": webhook.application_id.map(|id| id.to_string()),
                "webhook": {"webhook_id": webhook.id.to_string()},
            },
        });
        let sent = self.messenger.send(&webhook, message_id, body.to_string());
        let attempt = timeout_at(patience.until, sent).await;
        let late = |_| Attempt::Failed { status: None, why: "no answer before this call's own deadline".to_owned() };
        Ok((Tested { attempt: attempt.unwrap_or_else(late), message_id }, revision))
    }
}
