use crate::{
    domain::{
        act::Act,
        id::WebhookId,
        notice::WebhookNotice,
        refusal::Refusal,
        webhook::{Disabled, Webhook},
    },
    replica::Replica,
    store::Store,
};

/// Who acts, as it stands in the audit log.
const JOB: &str = "webhooks";

/// Disables a webhook that nothing arrives at, and tells those who still hear. Does nothing
/// where it is disabled or gone meanwhile, or leads elsewhere by now.
pub(super) async fn disable(
    store: &Store,
    replica: &Replica,
    webhook: &Webhook,
    why: Disabled,
    last_error: String,
) -> Result<bool, Refusal> {
    let (application_id, id, url): (_, WebhookId, _) = (webhook.application_id, webhook.id, webhook.url.clone());
    let committed = store
        .write(Act::job(JOB), async move |tx| {
            let before = match tx.webhook(application_id, id).await {
                Ok(webhook) if webhook.disabled.is_none() && webhook.url == url => webhook,
                Ok(_) | Err(Refusal::WebhookNotFound) => return Ok(false),
                Err(refusal) => return Err(refusal),
            };
            let after = Webhook { disabled: Some(why), update_time: tx.now(), ..before.clone() };
            let host = after.url.host().to_owned();
            tx.save_webhook(Some(before), Some(after));
            tx.notify_of_webhook(WebhookNotice { webhook_id: id, application_id, host, why, last_error });
            Ok(true)
        })
        .await?;
    // No answer rests on it: nobody waits.
    Ok(replica.announce(committed))
}
