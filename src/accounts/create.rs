use std::collections::BTreeSet;

use super::{Accounts, must_reach, names_must_be_free};
use crate::{
    domain::{
        account::{Role, Scope, ServiceAccount, client_email},
        act::Act,
        certificate::CertificateName,
        id::{Revision, ServiceAccountId},
        permission::Permission,
        refusal::Refusal,
        text::Name,
        time::Timestamp,
    },
    replica::Patience,
    store::{CreateRequest, Error},
};

/// An account to be made, without keys.
#[derive(Debug, Clone)]
pub struct NewServiceAccount {
    pub name: Name,
    pub roles: BTreeSet<Role>,
    pub scope: Scope,
    pub grantable: Vec<Permission>,
    pub certificate_names: BTreeSet<CertificateName>,
    pub disabled: bool,
    pub request: Option<CreateRequest>,
}

impl NewServiceAccount {
    /// As it is when it begins.
    #[must_use]
    pub fn begin(self, id: ServiceAccountId, now: Timestamp) -> ServiceAccount {
        let Self { name, roles, scope, grantable, certificate_names, disabled, request: _ } = self;
        ServiceAccount {
            id,
            name,
            client_email: client_email(id),
            roles,
            scope,
            grantable,
            keys: Vec::new(),
            certificate_names,
            disabled,
            create_time: now,
            update_time: now,
            revision: Revision::default(),
        }
    }
}

impl Accounts {
    /// Makes an account. A repeat of the same request makes none and answers the same.
    pub async fn create(
        &self,
        act: Act,
        new: NewServiceAccount,
        patience: Patience,
    ) -> Result<(ServiceAccount, Revision), Refusal> {
        let entropy = self.entropy.clone();
        let committed = self
            .store
            .write(act, async move |tx| {
                if let Some(made) = tx.made_before(new.request.as_ref()).await? {
                    let id = made.parse().map_err(|_| Refusal::Internal)?;
                    return Ok((tx.account(id).await?, false));
                }
                let request = new.request;
                let id = ServiceAccountId::new(entropy.uuid(tx.now()).map_err(Error::from)?);
                let account = new.begin(id, tx.now());
                must_reach(tx.actor()?, &account)?;
                names_must_be_free(&tx, &account).await?;
                if let Scope::Only(applications) = &account.scope {
                    for application in applications {
                        tx.application(*application).await?;
                    }
                }
                tx.save_account(None, account.clone());
                tx.made(request, id);
                Ok((account, true))
            })
            .await?;
        self.replica.confirm_change(committed, patience).await
    }
}
