use tonic::{Request, Response, Status};

use super::{
    convert::{account, common},
    unpack,
};
use crate::{
    accounts::{Accounts, ListServiceAccounts, UpdateServiceAccount},
    domain::{
        account::ServiceAccountPatch,
        page::PageRequest,
        refusal::{Refusal, Violations},
    },
    pb::{self, service_account_service_server::ServiceAccountService},
    signing::PublicKey,
};

#[derive(Debug)]
pub(super) struct ServiceAccountApi {
    pub(super) accounts: Accounts,
}

#[tonic::async_trait]
impl ServiceAccountService for ServiceAccountApi {
    async fn create_service_account(
        &self,
        request: Request<pb::CreateServiceAccountRequest>,
    ) -> Result<Response<pb::CreateServiceAccountResponse>, Status> {
        Ok(Response::new(self.create(&request).await?))
    }

    async fn get_service_account(
        &self,
        request: Request<pb::GetServiceAccountRequest>,
    ) -> Result<Response<pb::GetServiceAccountResponse>, Status> {
        Ok(Response::new(self.get(&request).await?))
    }

    async fn list_service_accounts(
        &self,
        request: Request<pb::ListServiceAccountsRequest>,
    ) -> Result<Response<pb::ListServiceAccountsResponse>, Status> {
        Ok(Response::new(self.list(&request).await?))
    }

    async fn update_service_account(
        &self,
        request: Request<pb::UpdateServiceAccountRequest>,
    ) -> Result<Response<pb::UpdateServiceAccountResponse>, Status> {
        Ok(Response::new(self.update(request).await?))
    }

    async fn disable_service_account(
        &self,
        request: Request<pb::DisableServiceAccountRequest>,
    ) -> Result<Response<pb::DisableServiceAccountResponse>, Status> {
        Ok(Response::new(self.disable(request).await?))
    }

    async fn add_service_account_key(
        &self,
        request: Request<pb::AddServiceAccountKeyRequest>,
    ) -> Result<Response<pb::AddServiceAccountKeyResponse>, Status> {
        Ok(Response::new(self.add_key(&request).await?))
    }

    async fn remove_service_account_key(
        &self,
        request: Request<pb::RemoveServiceAccountKeyRequest>,
    ) -> Result<Response<pb::RemoveServiceAccountKeyResponse>, Status> {
        Ok(Response::new(self.remove_key(&request).await?))
    }
}

impl ServiceAccountApi {
    async fn create(
        &self,
        request: &Request<pb::CreateServiceAccountRequest>,
    ) -> Result<pb::CreateServiceAccountResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let (patience, new) = unpack::both(patience, account::new_account(request.get_ref()))?;
        let (made, revision) = self.accounts.create(act, new, patience).await?;
        let service_account = Some(account::to_account(&made));
        Ok(pb::CreateServiceAccountResponse { service_account, revision: revision.number() })
    }

    async fn get(
        &self,
        request: &Request<pb::GetServiceAccountRequest>,
    ) -> Result<pb::GetServiceAccountResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let id = common::parse_one(&request.get_ref().service_account_id, "service_account_id")?;
        let (found, revision) = self.accounts.get(caller, id).await?;
        let service_account = Some(account::to_account(&found));
        Ok(pb::GetServiceAccountResponse { service_account, revision: revision.number() })
    }

    async fn list(
        &self,
        request: &Request<pb::ListServiceAccountsRequest>,
    ) -> Result<pb::ListServiceAccountsResponse, Refusal> {
        let (caller, list) = (unpack::caller(request)?, request.get_ref());
        let page = PageRequest::parse(list.page_size, &list.page_token, &["service_accounts", &list.name_prefix]);
        let (name_prefix, page) = unpack::both(common::name_prefix(&list.name_prefix), page)?;
        let (page, revision) = self.accounts.list(caller, ListServiceAccounts { name_prefix, page }).await?;
        Ok(pb::ListServiceAccountsResponse {
            service_accounts: page.items.iter().map(account::to_account).collect(),
            next_page_token: page.next_page_token,
            revision: revision.number(),
        })
    }

    async fn update(
        &self,
        request: Request<pb::UpdateServiceAccountRequest>,
    ) -> Result<pb::UpdateServiceAccountResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, request.get_ref().wait));
        let (patience, update) = unpack::both(patience, account::update(request.into_inner()))?;
        let (updated, revision) = self.accounts.update(act, update, patience).await?;
        let service_account = Some(account::to_account(&updated));
        Ok(pb::UpdateServiceAccountResponse { service_account, revision: revision.number() })
    }

    async fn disable(
        &self,
        request: Request<pb::DisableServiceAccountRequest>,
    ) -> Result<pb::DisableServiceAccountResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, request.get_ref().wait));
        let disable = request.into_inner();
        let id = common::parse_one(&disable.service_account_id, "service_account_id");
        let (patience, service_account_id) = unpack::both(patience, id)?;
        let update = UpdateServiceAccount {
            service_account_id,
            patch: ServiceAccountPatch { disabled: Some(true), ..Default::default() },
            etag: disable.etag,
        };
        let (disabled, revision) = self.accounts.update(act, update, patience).await?;
        let service_account = Some(account::to_account(&disabled));
        Ok(pb::DisableServiceAccountResponse { service_account, revision: revision.number() })
    }

    async fn add_key(
        &self,
        request: &Request<pb::AddServiceAccountKeyRequest>,
    ) -> Result<pb::AddServiceAccountKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let mut v = Violations::default();
        let id = common::parse(&request.get_ref().service_account_id, "service_account_id", &mut v);
        let key = v.check("public_key_pem", PublicKey::from_pem(&request.get_ref().public_key_pem));
        let (patience, (id, key)) = unpack::both(patience, v.settle_with(id.zip(key)))?;
        let kid = key.kid().to_string();
        let (account, revision) = self.accounts.add_key(act, id, key, patience).await?;
        let service_account = Some(account::to_account(&account));
        Ok(pb::AddServiceAccountKeyResponse { service_account, kid, revision: revision.number() })
    }

    async fn remove_key(
        &self,
        request: &Request<pb::RemoveServiceAccountKeyRequest>,
    ) -> Result<pb::RemoveServiceAccountKeyResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, request.get_ref().wait));
        let mut v = Violations::default();
        let id = common::parse(&request.get_ref().service_account_id, "service_account_id", &mut v);
        let kid = common::parse(&request.get_ref().kid, "kid", &mut v);
        let (patience, (id, kid)) = unpack::both(patience, v.settle_with(id.zip(kid)))?;
        let (account, revision) = self.accounts.remove_key(act, id, kid, patience).await?;
        let service_account = Some(account::to_account(&account));
        Ok(pb::RemoveServiceAccountKeyResponse { service_account, revision: revision.number() })
    }
}
