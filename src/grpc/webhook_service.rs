use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use super::{convert::webhook, unpack};
use crate::{
    domain::{id::Revision, refusal::Refusal},
    pb::{self, webhook_service_server::WebhookService},
    webhooks::{Made, Webhooks},
};

#[derive(Debug)]
pub(super) struct WebhookApi {
    pub(super) webhooks: Webhooks,
}

#[tonic::async_trait]
impl WebhookService for WebhookApi {
    async fn create_webhook(
        &self,
        request: Request<pb::CreateWebhookRequest>,
    ) -> Result<Response<pb::CreateWebhookResponse>, Status> {
        Ok(Response::new(self.create(&request).await?))
    }

    async fn get_webhook(
        &self,
        request: Request<pb::GetWebhookRequest>,
    ) -> Result<Response<pb::GetWebhookResponse>, Status> {
        Ok(Response::new(self.get(&request).await?))
    }

    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Result<Response<pb::ListWebhooksResponse>, Status> {
        Ok(Response::new(self.list(&request).await?))
    }

    async fn update_webhook(
        &self,
        request: Request<pb::UpdateWebhookRequest>,
    ) -> Result<Response<pb::UpdateWebhookResponse>, Status> {
        Ok(Response::new(self.update(request).await?))
    }

    async fn delete_webhook(
        &self,
        request: Request<pb::DeleteWebhookRequest>,
    ) -> Result<Response<pb::DeleteWebhookResponse>, Status> {
        Ok(Response::new(self.delete(request).await?))
    }

    async fn test_webhook(
        &self,
        request: Request<pb::TestWebhookRequest>,
    ) -> Result<Response<pb::TestWebhookResponse>, Status> {
        Ok(Response::new(self.test(&request).await?))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::RotateWebhookSecretResponse>, Status> {
        Ok(Response::new(self.rotate(&request).await?))
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ListWebhookDeliveriesResponse>, Status> {
        Ok(Response::new(self.deliveries(&request).await?))
    }
}

impl WebhookApi {
    async fn create(&self, request: &Request<pb::CreateWebhookRequest>) -> Result<pb::CreateWebhookResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, 0)?);
        let new = webhook::new_webhook(request.get_ref())?;
        let (webhook, secret, revision) = self.made(self.webhooks.create(act, new, patience).await?);
        Ok(pb::CreateWebhookResponse { webhook, secret, revision })
    }

    async fn get(&self, request: &Request<pb::GetWebhookRequest>) -> Result<pb::GetWebhookResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let (application, id) = webhook::get(request.get_ref())?;
        let (found, revision) = self.webhooks.get(caller, application, id).await?;
        let webhook = Some(webhook::to_webhook(&found, self.webhooks.now()));
        Ok(pb::GetWebhookResponse { webhook, revision: revision.number() })
    }

    async fn list(&self, request: &Request<pb::ListWebhooksRequest>) -> Result<pb::ListWebhooksResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let (page, revision) = self.webhooks.list(caller, webhook::list(request.get_ref())?).await?;
        let now = self.webhooks.now();
        Ok(pb::ListWebhooksResponse {
            webhooks: page.items.iter().map(|found| webhook::to_webhook(found, now)).collect(),
            next_page_token: page.next_page_token,
            revision: revision.number(),
        })
    }

    async fn update(&self, request: Request<pb::UpdateWebhookRequest>) -> Result<pb::UpdateWebhookResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, 0)?);
        let update = webhook::update(request.into_inner())?;
        let (updated, revision) = self.webhooks.update(act, update, patience).await?;
        let webhook = Some(webhook::to_webhook(&updated, self.webhooks.now()));
        Ok(pb::UpdateWebhookResponse { webhook, revision: revision.number() })
    }

    async fn delete(&self, request: Request<pb::DeleteWebhookRequest>) -> Result<pb::DeleteWebhookResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, 0)?);
        let revision = self.webhooks.delete(act, webhook::delete(request.into_inner())?, patience).await?;
        Ok(pb::DeleteWebhookResponse { revision: revision.number() })
    }

    async fn test(&self, request: &Request<pb::TestWebhookRequest>) -> Result<pb::TestWebhookResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, 0)?);
        let (tested, revision) = self.webhooks.test(act, webhook::test(request.get_ref())?, patience).await?;
        Ok(webhook::to_tested(tested, revision.number()))
    }

    async fn rotate(
        &self,
        request: &Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<pb::RotateWebhookSecretResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, 0)?);
        let rotate = webhook::rotate(request.get_ref())?;
        let (webhook, secret, revision) = self.made(self.webhooks.rotate(act, rotate, patience).await?);
        Ok(pb::RotateWebhookSecretResponse { webhook, secret, revision })
    }

    async fn deliveries(
        &self,
        request: &Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<pb::ListWebhookDeliveriesResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let list = webhook::deliveries(request.get_ref())?;
        let (page, revision) = self.webhooks.deliveries(caller, list).await?;
        Ok(pb::ListWebhookDeliveriesResponse {
            deliveries: page.items.into_iter().map(webhook::to_delivery).collect(),
            next_page_token: page.next_page_token,
            revision: revision.number(),
        })
    }

    /// A webhook with its new secret, which is shown here and nowhere else.
    fn made(&self, (made, revision): (Made, Revision)) -> (Option<pb::Webhook>, String, i64) {
        let webhook = Some(webhook::to_webhook(&made.webhook, self.webhooks.now()));
        (webhook, made.secret.text().expose_secret().to_owned(), revision.number())
    }
}
