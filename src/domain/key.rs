use std::sync::Arc;

use super::{
    event::{Cause, Changed, set},
    id::{ApplicationId, KeyId, Revision, ServiceAccountId, Versioned},
    limit::{Limits, Plan, Quota, RateLimit},
    network::IpRange,
    permission::{Permission, all_covered, any_covers},
    referrer::ReferrerRule,
    refusal::{Refusal, Violations},
    resource::ResourceRule,
    restriction::Restrictions,
    secret::SecretHash,
    text::{Label, Name, Note},
    time::Timestamp,
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
    pub permissions: Vec<Permission>,
    pub restrictions: Restrictions,
    pub limits: Limits,
    pub labels: Vec<Label>,
    pub disabled: bool,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub expire_time: Option<Timestamp>,
    pub revoked: Option<Revoked>,
    pub created_by: ServiceAccountId,
    /// That changed it last.
    pub revision: Revision,
}

/// How many labels a key may have.
pub const MAX_LABELS: usize = 64;
/// New values for the fields that an update names.
#[derive(Debug, Clone, Default)]
pub struct KeyPatch {
    pub name: Option<Name>,
    pub description: Option<Note>,
    pub permissions: Option<Vec<Permission>>,
    pub ip_ranges: Option<Vec<IpRange>>,
    pub referrers: Option<Vec<ReferrerRule>>,
    pub resources: Option<Vec<ResourceRule>>,
    pub rate_limits: Option<Vec<RateLimit>>,
    pub quotas: Option<Vec<Quota>>,
    pub labels: Option<Vec<Label>>,
    pub disabled: Option<bool>,
    /// `Some(None)`: never.
    pub expire_time: Option<Option<Timestamp>>,
}

impl Versioned for Key {
    fn changed_by(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

impl Key {
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked.is_some() {
            KeyState::Revoked
        } else if self.expire_time.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else if self.disabled {
            KeyState::Disabled
        } else {
            KeyState::Active
        }
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
            disabled: self.disabled,
            revoked: self.revoked.is_some(),
        }
    }

    /// Revokes it; `false` when it is revoked already, which stays as it is.
    pub fn revoke(&mut self, reason: RevokeReason, comment: Note, now: Timestamp) -> bool {
        if self.revoked.is_some() {
            return false;
        }
        self.revoked = Some(Revoked { time: now, reason, comment });
        self.update_time = now;
        true
    }

    /// Applies an update by somebody who may grant `grantable`. Answers whether anything
    /// changed, and the cause if the key is good for less than before.
    pub fn update(&mut self, patch: KeyPatch, grantable: &[Permission], now: Timestamp) -> Result<Changed, Refusal> {
        if self.revoked.is_some() {
            return Err(Refusal::KeyRevoked);
        }
        let before = self.clone();
        set(&mut self.name, patch.name);
        set(&mut self.description, patch.description);
        set(&mut self.permissions, patch.permissions);
        set(&mut self.restrictions.ip_ranges, patch.ip_ranges);
        set(&mut self.restrictions.referrers, patch.referrers);
        set(&mut self.restrictions.resources, patch.resources);
        set(&mut self.limits.rate_limits, patch.rate_limits);
        set(&mut self.limits.quotas, patch.quotas);
        set(&mut self.labels, patch.labels);
        set(&mut self.disabled, patch.disabled);
        set(&mut self.expire_time, patch.expire_time);
        self.must_be_coherent("key.")?;
        self.may_be_granted(&before, grantable, now)?;
        if *self == before {
            return Ok(Changed::No);
        }
        self.update_time = now;
        Ok(Changed::Yes(self.narrowed_from(&before)))
    }

    /// Nobody grants what they lack: neither by adding a permission, nor by waking an
    /// expired or disabled key that holds it, nor by letting it be used from or for more, or
    /// for longer. Limits are not permissions: who edits may set them.
    fn may_be_granted(&self, before: &Self, grantable: &[Permission], now: Timestamp) -> Result<(), Refusal> {
        let (was, is) = (before.state(now), self.state(now));
        let wakes = (was != KeyState::Active && is == KeyState::Active)
            || (was == KeyState::Expired && is != KeyState::Expired);
        let longer = match (self.expire_time, before.expire_time) {
            (Some(now), Some(then)) => now > then,
            (None, then) => then.is_some(),
            (Some(_), None) => false,
        };
        let grants_anew = wakes || longer || before.restrictions.is_narrower_than(&self.restrictions);
        let exceeds = |permission: &&Permission| {
            (grants_anew || !any_covers(&before.permissions, permission)) && !any_covers(grantable, permission)
        };
        match self.permissions.iter().find(exceeds) {
            Some(permission) => Err(Refusal::GrantExceeded(format!("the permission {permission}"))),
            None => Ok(()),
        }
    }

    fn narrowed_from(&self, before: &Self) -> Option<Cause> {
        let earlier = match (self.expire_time, before.expire_time) {
            (Some(now), Some(then)) => now < then,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let narrowed = earlier
            || !all_covered(&self.permissions, &before.permissions)
            || self.restrictions.is_narrower_than(&before.restrictions)
            || self.limits.is_narrower_than(&before.limits);
        if self.disabled && !before.disabled { Some(Cause::Disabled) } else { narrowed.then_some(Cause::Narrowed) }
    }

    /// A publishable key is in everybody's hands: it must be bound to a place, and cannot
    /// hold full access. `field` is what stands before the names of fields.
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
