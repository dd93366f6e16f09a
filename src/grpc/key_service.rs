use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tonic::{Request, Response, Status};

use super::{
    convert::{common, key, limit, usage, verify, watch},
    unpack,
};
use crate::{
    domain::{
        page::PageRequest,
        refusal::Refusal,
        usage::{KeyUsage, UsedKey, unused_since},
    },
    keys::{Keys, ListKeys},
    pb::{self, key_service_server::KeyService},
    replica::Replica,
    store::KeyFilter,
    watch::Watches,
};

#[derive(Debug)]
pub(super) struct KeyApi {
    pub(super) keys: Arc<Keys>,
    pub(super) watches: Watches,
    pub(super) replica: Replica,
}

#[tonic::async_trait]
impl KeyService for KeyApi {
    async fn create_key(
        &self,
        request: Request<pb::CreateKeyRequest>,
    ) -> Result<Response<pb::CreateKeyResponse>, Status> {
        Ok(Response::new(self.create(&request).await?))
    }

    async fn import_keys(
        &self,
        request: Request<pb::ImportKeysRequest>,
    ) -> Result<Response<pb::ImportKeysResponse>, Status> {
        Ok(Response::new(self.import(&request).await?))
    }

    async fn list_keys(&self, request: Request<pb::ListKeysRequest>) -> Result<Response<pb::ListKeysResponse>, Status> {
        Ok(Response::new(self.list(&request).await?))
    }

    async fn get_key(&self, request: Request<pb::GetKeyRequest>) -> Result<Response<pb::GetKeyResponse>, Status> {
        Ok(Response::new(self.get(&request).await?))
    }

    async fn update_key(
        &self,
        request: Request<pb::UpdateKeyRequest>,
    ) -> Result<Response<pb::UpdateKeyResponse>, Status> {
        Ok(Response::new(self.update(request).await?))
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Result<Response<pb::RotateKeyResponse>, Status> {
        Ok(Response::new(self.rotate(&request).await?))
    }

    async fn revoke_key(
        &self,
        request: Request<pb::RevokeKeyRequest>,
    ) -> Result<Response<pb::RevokeKeyResponse>, Status> {
        Ok(Response::new(self.revoke(request).await?))
    }

    async fn report_leaked_key(
        &self,
        request: Request<pb::ReportLeakedKeyRequest>,
    ) -> Result<Response<pb::ReportLeakedKeyResponse>, Status> {
        Ok(Response::new(self.report_leaked(&request).await?))
    }

    async fn verify_key(
        &self,
        request: Request<pb::VerifyKeyRequest>,
    ) -> Result<Response<pb::VerifyKeyResponse>, Status> {
        Ok(Response::new(self.verify(&request).await?))
    }

    async fn get_rate_limit(
        &self,
        request: Request<pb::GetRateLimitRequest>,
    ) -> Result<Response<pb::GetRateLimitResponse>, Status> {
        Ok(Response::new(self.rate_limit(&request).await?))
    }

    async fn get_key_usage(
        &self,
        request: Request<pb::GetKeyUsageRequest>,
    ) -> Result<Response<pb::GetKeyUsageResponse>, Status> {
        Ok(Response::new(self.usage(&request).await?))
    }

    async fn get_sealed_secret(
        &self,
        request: Request<pb::GetSealedSecretRequest>,
    ) -> Result<Response<pb::GetSealedSecretResponse>, Status> {
        Ok(Response::new(self.sealed_secret(&request).await?))
    }

    type WatchRevocationsStream = Pin<Box<dyn Stream<Item = Result<pb::WatchRevocationsResponse, Status>> + Send>>;

    async fn watch_revocations(
        &self,
        request: Request<pb::WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let request_id = unpack::request_id(&request);
        let stream = self.watch(request).await?;
        // Pulled, not pushed: nothing is made before HTTP/2 has room for it.
        let items = futures_util::stream::unfold((stream, request_id), |(mut stream, request_id)| async move {
            let item = stream.next().await?;
            let item = item.map(watch::to_item).map_err(|refusal| unpack::last_status(&refusal, request_id.as_ref()));
            Some((item, (stream, request_id)))
        });
        Ok(Response::new(Box::pin(items)))
    }
}

impl KeyApi {
    async fn create(&self, request: &Request<pb::CreateKeyRequest>) -> Result<pb::CreateKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let (patience, new) = unpack::both(patience, key::new_key(request.get_ref()))?;
        let (created, revision) = self.keys.create(act, new, patience).await?;
        Ok(pb::CreateKeyResponse {
            key: Some(key::to_key(&UsedKey { key: created.key, usage: KeyUsage::default() }, self.replica.now())),
            secret: created.secret.reveal(),
            revision: revision.number(),
        })
    }

    async fn import(&self, request: &Request<pb::ImportKeysRequest>) -> Result<pb::ImportKeysResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let (patience, import) = unpack::both(patience, key::import(request.get_ref()))?;
        let (imported, revision) = self.keys.import(act, import, patience).await?;
        Ok(key::to_imported(&imported, revision))
    }

    async fn list(&self, request: &Request<pb::ListKeysRequest>) -> Result<pb::ListKeysResponse, Refusal> {
        let (caller, list) = (unpack::caller(request)?, request.get_ref());
        let application_id = common::parse_one(&list.application_id, "application_id");
        let filter = unpack::both(key::filter_environment(list.environment), common::name_prefix(&list.name_prefix));
        let [show_revoked, unused_only] = [list.show_revoked, list.unused_only].map(|flag| flag.to_string());
        let environment = list.environment.to_string();
        let bound_to = ["keys", &list.application_id, &show_revoked, &unused_only, &environment, &list.name_prefix];
        let page = PageRequest::parse(list.page_size, &list.page_token, &bound_to);
        let ((application_id, (environment, name_prefix)), page) =
            unpack::both(unpack::both(application_id, filter), page)?;
        let unused_since = list.unused_only.then(|| unused_since(self.replica.now()));
        let filter = KeyFilter { show_revoked: list.show_revoked, environment, name_prefix, unused_since };
        let (page, revision) = self.keys.list(caller, ListKeys { application_id, filter, page }).await?;
        let now = self.replica.now();
        Ok(pb::ListKeysResponse {
            keys: page.items.iter().map(|item| key::to_key(item, now)).collect(),
            next_page_token: page.next_page_token,
            revision: revision.number(),
        })
    }

    async fn get(&self, request: &Request<pb::GetKeyRequest>) -> Result<pb::GetKeyResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let application = common::parse_one(&request.get_ref().application_id, "application_id");
        let id = common::parse_one(&request.get_ref().key_id, "key_id");
        let (application, id) = unpack::both(application, id)?;
        let (found, revision) = self.keys.get(caller, application, id).await?;
        Ok(pb::GetKeyResponse { key: Some(key::to_key(&found, self.replica.now())), revision: revision.number() })
    }

    async fn update(&self, request: Request<pb::UpdateKeyRequest>) -> Result<pb::UpdateKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, request.get_ref().wait));
        let (patience, update) = unpack::both(patience, key::update(request.into_inner()))?;
        let (updated, revision) = self.keys.update(act, update, patience).await?;
        Ok(pb::UpdateKeyResponse { key: Some(key::to_key(&updated, self.replica.now())), revision: revision.number() })
    }

    async fn rotate(&self, request: &Request<pb::RotateKeyRequest>) -> Result<pb::RotateKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let (patience, rotate) = unpack::both(patience, key::rotate(request.get_ref()))?;
        let (rotated, revision) = self.keys.rotate(act, rotate, patience).await?;
        Ok(key::to_rotated(&rotated, revision, self.replica.now()))
    }

    async fn revoke(&self, request: Request<pb::RevokeKeyRequest>) -> Result<pb::RevokeKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, request.get_ref().wait));
        let (patience, revoke) = unpack::both(patience, key::revoke(request.into_inner()))?;
        let (revoked, revision) = self.keys.revoke(act, revoke, patience).await?;
        Ok(pb::RevokeKeyResponse { key: Some(key::to_key(&revoked, self.replica.now())), revision: revision.number() })
    }

    /// Without a revision: it would say nothing, and must not seem to.
    async fn report_leaked(
        &self,
        request: &Request<pb::ReportLeakedKeyRequest>,
    ) -> Result<pb::ReportLeakedKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let (patience, report) = unpack::both(patience, key::report_leaked(request.get_ref()))?;
        self.keys.report_leaked(act, report, patience).await?;
        Ok(pb::ReportLeakedKeyResponse {})
    }

    async fn verify(&self, request: &Request<pb::VerifyKeyRequest>) -> Result<pb::VerifyKeyResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let question = verify::verify(request.get_ref())?;
        let answer = self.keys.verify(caller, &question, || unpack::deadline(request)).await?;
        Ok(verify::to_answer(&answer))
    }

    async fn rate_limit(
        &self,
        request: &Request<pb::GetRateLimitRequest>,
    ) -> Result<pb::GetRateLimitResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let limits =
            self.keys.rate_limit(caller, &verify::rate_limit(request.get_ref())?, unpack::deadline(request)).await?;
        Ok(pb::GetRateLimitResponse {
            key_id: limits.key_id.to_string(),
            rate_limits: limits.balances.iter().map(limit::to_status).collect(),
            revision: limits.revision.number(),
        })
    }

    async fn usage(&self, request: &Request<pb::GetKeyUsageRequest>) -> Result<pb::GetKeyUsageResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let get = usage::get_usage(request.get_ref(), self.replica.now())?;
        let (report, revision) = self.keys.usage(caller, get).await?;
        Ok(usage::to_report(&report, revision))
    }

    async fn sealed_secret(
        &self,
        request: &Request<pb::GetSealedSecretRequest>,
    ) -> Result<pb::GetSealedSecretResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let (patience, get) = unpack::both(patience, key::sealed_secret(request.get_ref()))?;
        let (sealed, revision) = self.keys.sealed_secret(act, get, patience).await?;
        Ok(key::to_sealed(sealed, revision))
    }

    async fn watch(&self, request: Request<pb::WatchRevocationsRequest>) -> Result<crate::watch::WatchStream, Refusal> {
        let caller = unpack::caller(&request)?.clone();
        self.watches.open(&caller, watch::watch(request.into_inner())?).await
    }
}
