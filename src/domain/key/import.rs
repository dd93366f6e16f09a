//! A key of another system, that is to be taken over by its hash.

use super::{Key, KeyEnvironment, KeyType, inherited};
use crate::domain::{
    account::ServiceAccount,
    id::{ApplicationId, KeyId, Revision},
    limit::Limits,
    lineage::Lineage,
    permission::Permission,
    restriction::Restrictions,
    secret::SecretHash,
    text::{Label, Name, Note},
    time::Timestamp,
    upkeep::Upkeep,
};

/// How many keys are imported at once.
pub const MAX_IMPORTED: usize = 1000;
/// How much may be shown of a text: as much as of ours, with the longest first part.
const MAX_PREFIX: usize = 32;

/// What is known of it.
#[derive(Debug, Clone)]
pub struct KeyToImport {
    pub hash: SecretHash,
    pub prefix: String,
    pub name: Name,
    pub description: Note,
    pub kind: KeyType,
    pub environment: KeyEnvironment,
    /// None: what who imports it may grant, short of full access.
    pub permissions: Vec<Permission>,
    pub expire_time: Option<Timestamp>,
    pub restrictions: Restrictions,
    pub limits: Limits,
    pub labels: Vec<Label>,
    pub disabled: bool,
}

/// Why something cannot be shown of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixRefused {
    #[error("must be at most {MAX_PREFIX} visible ASCII characters")]
    Form,
    #[error("is the whole text of the key: everybody could see it; give a few of its first characters, or none")]
    Whole,
}

impl KeyToImport {
    /// What is shown of the text with this hash.
    pub fn check_prefix(prefix: &str, hash: &SecretHash) -> Result<(), PrefixRefused> {
        if prefix.len() > MAX_PREFIX || !prefix.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(PrefixRefused::Form);
        }
        if SecretHash::of(prefix) == *hash {
            return Err(PrefixRefused::Whole);
        }
        Ok(())
    }

    /// In which fields a key of this hash is another than the one that is wanted. None: it is this one.
    #[must_use]
    pub fn differs_from(&self, key: &Key, actor: &ServiceAccount) -> Vec<&'static str> {
        let permissions = self.permissions_by(actor);
        let same = [
            ("name", key.name == self.name),
            ("description", key.description == self.description),
            ("type", key.kind == self.kind),
            ("environment", key.environment == self.environment),
            ("prefix", key.prefix == self.prefix),
            ("permissions", key.permissions == permissions),
            ("expire_time", key.expire_time == self.expire_time),
            ("ip_allowlist", key.restrictions.ip_ranges == self.restrictions.ip_ranges),
            ("referrer_allowlist", key.restrictions.referrers == self.restrictions.referrers),
            ("resource_allowlist", key.restrictions.resources == self.restrictions.resources),
            ("rate_limits", key.limits.rate_limits == self.limits.rate_limits),
            ("quotas", key.limits.quotas == self.limits.quotas),
            ("labels", key.labels == self.labels),
            ("disabled", key.disabled == self.disabled),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
    }

    /// The key that it becomes.
    #[must_use]
    pub fn become_key(self, id: KeyId, application: ApplicationId, actor: &ServiceAccount, now: Timestamp) -> Key {
        let permissions = self.permissions_by(actor);
        Key {
            id,
            application_id: application,
            name: self.name,
            description: self.description,
            kind: self.kind,
            environment: self.environment,
            prefix: self.prefix,
            hash: self.hash,
            imported: true,
            permissions,
            restrictions: self.restrictions,
            limits: self.limits,
            labels: self.labels,
            disabled: self.disabled,
            create_time: now,
            update_time: now,
            expire_time: self.expire_time,
            expired: false,
            revoked: None,
            lineage: Lineage::first(id),
            upkeep: Upkeep { auto_renew: false, lifetime: self.expire_time.map(|at| at.since(now)), rotation: None },
            created_by: actor.id,
            revision: Revision::default(),
        }
    }

    fn permissions_by(&self, actor: &ServiceAccount) -> Vec<Permission> {
        if self.permissions.is_empty() { inherited(&actor.grantable) } else { self.permissions.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_part_of_the_text_and_never_all_of_it() {
        let hash = SecretHash::of("old_0123456789");
        let check = |prefix: &str| KeyToImport::check_prefix(prefix, &hash);
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("old_0123"), Ok(()));
        assert_eq!(check("old_0123456789"), Err(PrefixRefused::Whole));
        assert_eq!(check(&"x".repeat(33)), Err(PrefixRefused::Form));
        assert_eq!(check("old 0"), Err(PrefixRefused::Form));
    }
}
