//! Service accounts, and the one rule between them: nobody hands out more than they have.

use std::collections::BTreeSet;

use super::{
    certificate::CertificateName,
    id::{ApplicationId, Revision, ServiceAccountId, Versioned},
    permission::{Permission, any_covers},
    refusal::Refusal,
    text::Name,
    time::Timestamp,
};
use crate::signing::Kid;

/// What an account may do, inside its applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Admin,
    Viewer,
    Editor,
    Verifier,
    Watcher,
}

/// Where an account may do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every application, also those that come later.
    All,
    /// Only these; none when empty.
    Only(BTreeSet<ApplicationId>),
}

impl Scope {
    #[must_use]
    pub fn holds(&self, application: ApplicationId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&application),
        }
    }

    #[must_use]
    pub fn holds_all_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            // A scope without applications is nobody's part: who could reach its account now
            // would hold whatever it is given later.
            (Self::Only(ours), Self::Only(theirs)) => !theirs.is_empty() && theirs.is_subset(ours),
        }
    }
}

/// A public key of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountKey {
    pub kid: Kid,
    /// SubjectPublicKeyInfo.
    pub public_key_pem: String,
    pub create_time: Timestamp,
}

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    pub id: ServiceAccountId,
    pub name: Name,
    /// `iss` and `sub` of its tokens.
    pub client_email: String,
    pub roles: BTreeSet<Role>,
    pub scope: Scope,
    pub grantable: Vec<Permission>,
    pub keys: Vec<AccountKey>,
    /// A client certificate with one of these names is a call of this account.
    pub certificate_names: BTreeSet<CertificateName>,
    pub disabled: bool,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub revision: Revision,
}

/// How many keys an account may have: enough to rotate, few enough to review.
pub const MAX_ACCOUNT_KEYS: usize = 16;
/// How many applications an account may name.
pub const MAX_SCOPE: usize = 1000;

/// New values for the fields that an update names.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccountPatch {
    pub name: Option<Name>,
    pub roles: Option<BTreeSet<Role>>,
    pub scope: Option<Scope>,
    pub grantable: Option<Vec<Permission>>,
    pub certificate_names: Option<BTreeSet<CertificateName>>,
    pub disabled: Option<bool>,
}

/// The address that tokens of an account name. `.invalid` (RFC 2606) is nobody's mailbox.
#[must_use]
pub fn client_email(id: ServiceAccountId) -> String {
    format!("{id}@portcullis.invalid")
}

impl Versioned for ServiceAccount {
    fn changed_by(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

impl ServiceAccount {
    /// Whether it has one of `roles`. ADMIN stands for each.
    #[must_use]
    pub fn has_one_of(&self, roles: &[Role]) -> bool {
        self.roles.contains(&Role::Admin) || roles.iter().any(|role| self.roles.contains(role))
    }

    #[must_use]
    pub fn key(&self, kid: &Kid) -> Option<&AccountKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// Whether it may grant `permission` to a key or an account.
    #[must_use]
    pub fn may_grant(&self, permission: &Permission) -> bool {
        any_covers(&self.grantable, permission)
    }

    /// Refuses when `other` has a role, a scope or a permission that this account lacks.
    pub fn must_reach(&self, other: &Self) -> Result<(), Refusal> {
        if let Some(role) = other.roles.iter().find(|role| !self.has_one_of(&[**role])) {
            return Err(Refusal::GrantExceeded(format!("the role {}", role.name())));
        }
        if !self.scope.holds_all_of(&other.scope) {
            let what = match &other.scope {
                Scope::Only(ids) if ids.is_empty() => "an account without applications; name some of yours",
                Scope::Only(_) | Scope::All => "an application outside your own scope",
            };
            return Err(Refusal::GrantExceeded(what.to_owned()));
        }
        match other.grantable.iter().find(|permission| !self.may_grant(permission)) {
            Some(permission) => Err(Refusal::GrantExceeded(format!("the permission {permission}"))),
            None => Ok(()),
        }
    }

    /// Whether everything can be administered with it: the last key of such accounts stays.
    #[must_use]
    pub fn is_root(&self) -> bool {
        !self.disabled
            && !self.keys.is_empty()
            && self.roles.contains(&Role::Admin)
            && self.scope == Scope::All
            && self.may_grant(&Permission::full())
    }

    /// Whether anything changed.
    pub fn update(&mut self, patch: ServiceAccountPatch, now: Timestamp) -> bool {
        let before = self.clone();
        let ServiceAccountPatch { name, roles, scope, grantable, certificate_names, disabled } = patch;
        if let Some(name) = name {
            self.name = name;
        }
        if let Some(roles) = roles {
            self.roles = roles;
        }
        if let Some(scope) = scope {
            self.scope = scope;
        }
        if let Some(grantable) = grantable {
            self.grantable = grantable;
        }
        if let Some(names) = certificate_names {
            self.certificate_names = names;
        }
        if let Some(disabled) = disabled {
            self.disabled = disabled;
        }
        let changed = *self != before;
        if changed {
            self.update_time = now;
        }
        changed
    }
}

impl Role {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Viewer => "VIEWER",
            Self::Editor => "EDITOR",
            Self::Verifier => "VERIFIER",
            Self::Watcher => "WATCHER",
        }
    }
}
