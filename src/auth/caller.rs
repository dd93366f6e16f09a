use std::sync::Arc;

use super::Method;
use crate::{
    domain::{
        account::{Role, Scope, ServiceAccount},
        certificate::CertificateName,
        id::ApplicationId,
        refusal::Refusal,
        time::Timestamp,
    },
    guard::{self, Guard},
    index::Index,
    signing::Kid,
};

/// A proven identity that has the method's role. Nothing outside `auth` can make one.
#[derive(Debug, Clone)]
pub struct Caller {
    account: Arc<ServiceAccount>,
    proof: Proof,
    roles: &'static [Role],
}

/// What the caller has proven to have.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// One of the account's keys.
    Key(Kid),
    /// A client certificate with one of the account's names, and when it ends.
    Certificate(CertificateName, Timestamp),
}

impl Proof {
    /// Whose it is now.
    fn holder(&self, index: &Index, now: Timestamp) -> Option<Arc<ServiceAccount>> {
        match self {
            Self::Key(kid) => index.signatory(kid).map(|signatory| Arc::clone(&signatory.account)),
            Self::Certificate(name, end_time) => index.named(name).filter(|_| now < *end_time),
        }
    }
}

impl Caller {
    pub(super) fn new(method: &Method, account: Arc<ServiceAccount>, proof: Proof) -> Result<Self, Refusal> {
        must_have_role(&account, method.roles)?;
        Ok(Self { account, proof, roles: method.roles })
    }

    /// As of the moment of the call.
    #[must_use]
    pub fn account(&self) -> &ServiceAccount {
        &self.account
    }

    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.account.scope
    }

    /// Refuses a caller without one of these roles, where a method's own depend on what is asked.
    pub fn must_have(&self, roles: &'static [Role]) -> Result<(), Refusal> {
        must_have_role(&self.account, roles)
    }

    /// Refuses an application outside the caller's scope, before anything is looked up.
    pub fn must_see(&self, application: ApplicationId) -> Result<(), Refusal> {
        if self.sees(application) { Ok(()) } else { Err(Refusal::ApplicationOutOfScope) }
    }

    #[must_use]
    pub fn sees(&self, application: ApplicationId) -> bool {
        !guard::on(Guard::Scope) || self.account.scope.holds(application)
    }

    /// The same caller as the account is now; refused when the account, this key or name of it,
    /// or the role has gone, or the certificate has ended. Streams ask before each delivery.
    pub fn again(&self, index: &Index, now: Timestamp) -> Result<Self, Refusal> {
        if !guard::on(Guard::Reauthorise) {
            return Ok(self.clone());
        }
        // A name may have gone to another account meanwhile, and what was begun as one is not gone on
        // with as another.
        let account = self.proof.holder(index, now).filter(|account| account.id == self.account.id);
        let account = account.ok_or(Refusal::SignatureInvalid)?;
        must_have_role(&account, self.roles)?;
        Ok(Self { account, proof: self.proof.clone(), roles: self.roles })
    }
}

fn must_have_role(account: &ServiceAccount, roles: &'static [Role]) -> Result<(), Refusal> {
    if roles.is_empty() || account.has_one_of(roles) || !guard::on(Guard::Role) {
        Ok(())
    } else {
        Err(Refusal::RoleMissing(roles))
    }
}
