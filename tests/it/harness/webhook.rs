use std::time::Duration;

use portcullis::pb;
use tonic::Status;

use super::{Persona, Server};

pub(crate) const CREATE: &str = "WebhookService/CreateWebhook";
pub(crate) const GET: &str = "WebhookService/GetWebhook";
pub(crate) const LIST: &str = "WebhookService/ListWebhooks";
pub(crate) const UPDATE: &str = "WebhookService/UpdateWebhook";
pub(crate) const DELETE: &str = "WebhookService/DeleteWebhook";
pub(crate) const TEST: &str = "WebhookService/TestWebhook";
pub(crate) const ROTATE: &str = "WebhookService/RotateWebhookSecret";
pub(crate) const DELIVERIES: &str = "WebhookService/ListWebhookDeliveries";

/// A webhook and its secret.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) webhook: pb::Webhook,
    pub(crate) secret: String,
}

impl Server {
    /// A webhook of the server's application.
    pub(crate) async fn hook(&self, url: &str) -> Hook {
        self.hook_with(url, |_| {}).await
    }

    pub(crate) async fn hook_with(&self, url: &str, change: impl FnOnce(&mut pb::Webhook)) -> Hook {
        self.try_hook(&self.admin, url, change).await.expect("a webhook")
    }

    pub(crate) async fn try_hook(
        &self,
        by: &Persona,
        url: &str,
        change: impl FnOnce(&mut pb::Webhook),
    ) -> Result<Hook, Status> {
        // Ids of the same millisecond have no order.
        self.setup.clock.advance(Duration::from_millis(2));
        let mut webhook =
            pb::Webhook { application_id: self.app.clone(), url: url.to_owned(), ..pb::Webhook::default() };
        change(&mut webhook);
        let request = pb::CreateWebhookRequest { webhook: Some(webhook), request_id: String::new() };
        let made: pb::CreateWebhookResponse = self.signed(by, CREATE, &request).await?;
        Ok(Hook { webhook: made.webhook.expect("a webhook"), secret: made.secret })
    }

    pub(crate) async fn shown(&self, hook: &Hook) -> pb::Webhook {
        let request = pb::GetWebhookRequest {
            application_id: hook.webhook.application_id.clone(),
            webhook_id: hook.webhook.webhook_id.clone(),
        };
        let got: pb::GetWebhookResponse = self.by_token(&self.admin, GET, &request).await.expect("get");
        got.webhook.expect("a webhook")
    }

    pub(crate) async fn set_disabled(&self, hook: &Hook, disabled: bool) -> pb::Webhook {
        let webhook = pb::Webhook {
            application_id: hook.webhook.application_id.clone(),
            webhook_id: hook.webhook.webhook_id.clone(),
            disabled,
            ..Default::default()
        };
        let request =
            pb::UpdateWebhookRequest { webhook: Some(webhook), update_mask: super::refused::mask(&["disabled"]) };
        let updated: pb::UpdateWebhookResponse = self.signed(&self.admin, UPDATE, &request).await.expect("update");
        updated.webhook.expect("a webhook")
    }

    pub(crate) async fn try_out(&self, hook: &Hook) -> pb::TestWebhookResponse {
        let request = pb::TestWebhookRequest {
            application_id: hook.webhook.application_id.clone(),
            webhook_id: hook.webhook.webhook_id.clone(),
        };
        self.signed(&self.admin, TEST, &request).await.expect("test")
    }

    pub(crate) async fn deliveries(&self, hook: &Hook) -> Vec<pb::WebhookDelivery> {
        let request = pb::ListWebhookDeliveriesRequest {
            application_id: hook.webhook.application_id.clone(),
            webhook_id: hook.webhook.webhook_id.clone(),
            page_size: 1000,
            ..Default::default()
        };
        let listed: pb::ListWebhookDeliveriesResponse =
            self.by_token(&self.admin, DELIVERIES, &request).await.expect("list");
        listed.deliveries
    }

    /// Waits until the deliveries are as wanted: what came of one is written after it was sent.
    pub(crate) async fn until_deliveries(
        &self,
        hook: &Hook,
        wanted: impl Fn(&[pb::WebhookDelivery]) -> bool,
    ) -> Vec<pb::WebhookDelivery> {
        for _ in 0..500 {
            let deliveries = self.deliveries(hook).await;
            if wanted(&deliveries) {
                return deliveries;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never as wanted: {:#?}", self.deliveries(hook).await);
    }
}
