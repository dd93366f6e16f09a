//! Calls to ServiceAccountService, by anybody.

use portcullis::pb;
use tonic::Status;

use super::{Persona, Server, refused::mask};

impl Persona {
    pub(crate) async fn create_account(
        &self,
        server: &Server,
        account: pb::ServiceAccount,
    ) -> Result<pb::ServiceAccount, Status> {
        let request = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        let made: pb::CreateServiceAccountResponse =
            server.signed(self, "ServiceAccountService/CreateServiceAccount", &request).await?;
        Ok(made.service_account.expect("account"))
    }

    pub(crate) async fn get_account(&self, server: &Server, id: &str) -> Result<pb::ServiceAccount, Status> {
        let request = pb::GetServiceAccountRequest { service_account_id: id.to_owned() };
        let got: pb::GetServiceAccountResponse =
            server.by_token(self, "ServiceAccountService/GetServiceAccount", &request).await?;
        Ok(got.service_account.expect("account"))
    }

    /// Sets the fields in `paths` of account `id` to those of `wish`.
    pub(crate) async fn update_account(
        &self,
        server: &Server,
        id: &str,
        paths: &[&str],
        wish: pb::ServiceAccount,
    ) -> Result<pb::ServiceAccount, Status> {
        let account = pb::ServiceAccount { service_account_id: id.to_owned(), ..wish };
        let request = pb::UpdateServiceAccountRequest {
            service_account: Some(account),
            update_mask: mask(paths),
            ..Default::default()
        };
        let updated: pb::UpdateServiceAccountResponse =
            server.signed(self, "ServiceAccountService/UpdateServiceAccount", &request).await?;
        Ok(updated.service_account.expect("account"))
    }

    pub(crate) async fn disable_account(&self, server: &Server, id: &str) -> Result<pb::ServiceAccount, Status> {
        let request = pb::DisableServiceAccountRequest { service_account_id: id.to_owned(), ..Default::default() };
        let disabled: pb::DisableServiceAccountResponse =
            server.signed(self, "ServiceAccountService/DisableServiceAccount", &request).await?;
        Ok(disabled.service_account.expect("account"))
    }

    pub(crate) async fn add_key(
        &self,
        server: &Server,
        id: &str,
        pem: &str,
    ) -> Result<pb::AddServiceAccountKeyResponse, Status> {
        let request = pb::AddServiceAccountKeyRequest {
            service_account_id: id.to_owned(),
            public_key_pem: pem.to_owned(),
            ..Default::default()
        };
        server.signed(self, "ServiceAccountService/AddServiceAccountKey", &request).await
    }

    pub(crate) async fn remove_key(&self, server: &Server, id: &str, kid: &str) -> Result<pb::ServiceAccount, Status> {
        let request = pb::RemoveServiceAccountKeyRequest {
            service_account_id: id.to_owned(),
            kid: kid.to_owned(),
            ..Default::default()
        };
        let removed: pb::RemoveServiceAccountKeyResponse =
            server.signed(self, "ServiceAccountService/RemoveServiceAccountKey", &request).await?;
        Ok(removed.service_account.expect("account"))
    }

    /// The same account with another of its keys.
    pub(crate) fn with_key(&self, number: usize) -> Self {
        Self { key: super::test_key(number), ..self.clone() }
    }
}
