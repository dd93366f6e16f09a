mod import;
mod patch;
mod rotate;

use std::sync::Arc;

pub use import::{KeyToImport, MAX_IMPORTED};
pub use patch::KeyPatch;
pub use rotate::{Rotation, oldest_first};

use super::{
    event::Cause,
    id::{ApplicationId, KeyId, Revision, ServiceAccountId, Versioned},
    limit::{Limits, Plan},
    lineage::Lineage,
    network::IpRange,
    permission::Permission,
    refusal::{Refusal, Violations},
    restriction::Restrictions,
    secret::SecretHash,
    text::{Label, Name, Note},
    time::Timestamp,
    upkeep::{LEAST_RENEWED, Upkeep},
    verdict::KeyFacts,
};

/// Which harm a key does in the wrong hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    Secret,
    /// May be seen by anybody: it is worth only what its allowlists leave.
    Publishable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyEnvironment {
    Live,
    Test,
}

/// Derived from a key and the time; never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Disabled,
    Expired,
    Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokeReason {
    Compromised,
    Leaked,
    Superseded,
    Unused,
    OwnerGone,
    Policy,
    Other,
}

/// The end of a key. Nothing takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub time: Timestamp,
    pub reason: RevokeReason,
    pub comment: Note,
}

/// A key, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub application_id: ApplicationId,
    pub name: Name,
    pub description: Note,
    pub kind: KeyType,
    pub environment: KeyEnvironment,
    pub prefix: String,
    pub hash: SecretHash,
    /// Another system made its text, whose form is not ours.
    pub imported: bool,
    pub permissions: Vec<Permission>,
    pub restrictions: Restrictions,
    pub limits: Limits,
    pub labels: Vec<Label>,
    pub disabled: bool,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub expire_time: Option<Timestamp>,
    /// Everybody was told that it has expired: it stays so, whatever a clock says, until an
    /// update sets another time.
    pub expired: bool,
    pub revoked: Option<Revoked>,
    pub lineage: Lineage,
    pub upkeep: Upkeep,
    pub created_by: ServiceAccountId,
    /// That changed it last.
    pub revision: Revision,
}

/// How many labels a key may have.
pub const MAX_LABELS: usize = 64;

impl Versioned for Key {
    fn changed_by(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

impl Key {
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.is_revoked(now) {
            KeyState::Revoked
        } else if self.expired || self.expire_time.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else if self.disabled {
            KeyState::Disabled
        } else {
            KeyState::Active
        }
    }

    /// Whether it has ended for good: it was revoked, or the overlap with its successor is over.
    #[must_use]
    pub fn is_revoked(&self, now: Timestamp) -> bool {
        self.revoked.is_some() || self.lineage.is_over(now)
    }

    /// Its end: as it was written down, or as it will be.
    #[must_use]
    pub fn end(&self, now: Timestamp) -> Option<Revoked> {
        self.revoked.clone().or_else(|| self.superseded(now))
    }

    /// What Verify needs of it.
    #[must_use]
    pub fn facts(&self) -> KeyFacts {
        KeyFacts {
            id: self.id,
            application_id: self.application_id,
            name: Arc::from(&*self.name),
            kind: self.kind,
            environment: self.environment,
            permissions: self.permissions.iter().cloned().collect(),
            restrictions: Arc::new(self.restrictions.clone()),
            limits: Arc::new(self.limits.clone()),
            labels: self.labels.iter().cloned().collect(),
            expire_time: self.expire_time,
            expired: self.expired,
            disabled: self.disabled,
            revoked: self.revoked.is_some(),
            chain: self.lineage.chain,
            successor: self.lineage.successor.map(Box::new),
        }
    }

    /// Revokes it. `None` when it is revoked already, which stays as it is; so does the end of an
    /// overlap, which is written down instead if nobody did yet.
    pub fn revoke(&mut self, reason: RevokeReason, comment: Note, now: Timestamp) -> Option<Cause> {
        if self.revoked.is_some() {
            return None;
        }
        if self.end_overlap(now) {
            return Some(Cause::Rotated);
        }
        self.revoked = Some(Revoked { time: now, reason, comment });
        self.update_time = now;
        Some(Cause::Revoked)
    }

    /// Disables it; `false` when it is disabled already.
    pub fn disable(&mut self, now: Timestamp) -> bool {
        if self.disabled {
            return false;
        }
        self.disabled = true;
        self.update_time = now;
        true
    }

    /// A publishable key is in everybody's hands: it must be bound to a place, and cannot
    /// hold full access. Only what ends is renewed. `field` is what stands before the names of fields.
    pub fn must_be_coherent(&self, field: &str) -> Result<(), Refusal> {
        let mut violations = Violations::default();
        if self.kind == KeyType::Publishable {
            if self.restrictions.ip_ranges.is_empty() && self.restrictions.referrers.is_empty() {
                let what = "a publishable key needs a referrer_allowlist or an ip_allowlist";
                violations.add(format!("{field}referrer_allowlist"), what);
            }
            if IpRange::are_everywhere(&self.restrictions.ip_ranges) {
                violations
                    .add(format!("{field}ip_allowlist"), "a publishable key cannot be bound to every address there is");
            }
            if self.permissions.iter().any(Permission::is_full) {
                violations.add(format!("{field}permissions"), "a publishable key cannot hold full access");
            }
        }
        if self.upkeep.auto_renew {
            match self.upkeep.lifetime.filter(|_| self.expire_time.is_some()) {
                None => violations.add(format!("{field}auto_renew"), "needs a key that expires; set an expire_time"),
                Some(lifetime) if lifetime < LEAST_RENEWED => {
                    violations.add(format!("{field}auto_renew"), "needs a key that was made for an hour or longer");
                }
                Some(_) => {}
            }
        }
        violations.settle()
    }

    /// No limit of its own is above what the application's plan allows over the same window.
    pub fn must_be_within(&self, plan: &Plan, field: &str) -> Result<(), Refusal> {
        let mut violations = Violations::default();
        for (at, allowed) in self.limits.above(plan.rate_limits()) {
            let (limit, seconds) = (allowed.limit.get(), allowed.window.seconds());
            let what = format!(
                "the application's plan allows {limit} in {seconds} seconds; a key's own limit may only be lower"
            );
            violations.add(format!("{field}rate_limits[{at}].limit"), what);
        }
        for at in self.limits.named_as(plan.rate_limits()) {
            let what = "the application's plan has a limit of this name over another window; choose another name";
            violations.add(format!("{field}rate_limits[{at}].name"), what);
        }
        violations.settle()
    }
}

/// What a key gets when its maker names no permissions: all that the maker may grant,
/// short of full access.
#[must_use]
pub fn inherited(grantable: &[Permission]) -> Vec<Permission> {
    grantable.iter().filter(|permission| !permission.is_full()).cloned().collect()
}
