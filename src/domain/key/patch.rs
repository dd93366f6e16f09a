use std::time::Duration;

use super::{Key, KeyState};
use crate::{
    domain::{
        event::{Cause, Changed, set},
        limit::{Limits, Quota, RateLimit},
        network::IpRange,
        permission::{Permission, all_covered, any_covers},
        referrer::ReferrerRule,
        refusal::{Refusal, Violations},
        resource::ResourceRule,
        text::{Label, Name, Note},
        time::Timestamp,
        upkeep::RotationPolicy,
    },
    signing::Kid,
};

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
    /// Of a key that has a successor.
    pub overlap_end_time: Option<Timestamp>,
    pub auto_renew: Option<bool>,
    /// `Some(None)`: it is not rotated.
    pub rotation_period: Option<Option<Duration>>,
    /// `Some(None)`: it is not rotated by itself.
    pub rotation_recipient: Option<Option<Kid>>,
}

impl Key {
    /// Applies an update by somebody who may grant `grantable`. Answers whether anything
    /// changed, and the cause if the key is good for less than before.
    pub fn update(&mut self, patch: KeyPatch, grantable: &[Permission], now: Timestamp) -> Result<Changed, Refusal> {
        if self.is_revoked(now) {
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
        self.set_expiry(patch.expire_time, now);
        self.set_overlap_end(patch.overlap_end_time)?;
        set(&mut self.upkeep.auto_renew, patch.auto_renew);
        self.set_rotation(patch.rotation_period, patch.rotation_recipient, now)?;
        self.must_be_coherent("key.")?;
        self.must_not_be_renewed_at_once(&before, now)?;
        self.may_be_granted(&before, grantable, now)?;
        if *self == before {
            return Ok(Changed::No);
        }
        self.update_time = now;
        Ok(Changed::Yes(self.narrowed_from(&before)))
    }

    /// A lifetime begins with the first time that it is given an end.
    fn set_expiry(&mut self, expire_time: Option<Option<Timestamp>>, now: Timestamp) {
        let Some(expire_time) = expire_time.filter(|at| *at != self.expire_time) else { return };
        let is_open = self.overlap_is_open();
        self.upkeep.lifetime = expire_time.map(|at| self.upkeep.lifetime.unwrap_or_else(|| at.since(now)));
        self.expire_time = expire_time;
        self.expired = false;
        if let (Some(successor), Some(at)) = (&mut self.lineage.successor, expire_time.filter(|_| !is_open)) {
            successor.overlap_end_time = successor.overlap_end_time.min(at);
        }
    }

    /// Whoever brings the end nearer must not see it put off a moment later.
    fn must_not_be_renewed_at_once(&self, before: &Self, now: Timestamp) -> Result<(), Refusal> {
        let sooner = self.expire_time.is_some_and(|at| before.expire_time.is_none_or(|then| at < then));
        if sooner && self.is_kept(now) && self.renewal_time().is_some_and(|at| at <= now) {
            let what = "is so near that auto_renew would put it off at once; set auto_renew to false with it";
            return Err(Refusal::FieldInvalid(Violations::one("key.expire_time", what)));
        }
        Ok(())
    }

    fn set_overlap_end(&mut self, end: Option<Timestamp>) -> Result<(), Refusal> {
        let Some(end) = end else { return Ok(()) };
        let Some(successor) = &mut self.lineage.successor else {
            let what = "is of a key that was rotated; this one has no successor";
            return Err(Refusal::FieldInvalid(Violations::one("key.overlap_end_time", what)));
        };
        successor.overlap_end_time = self.expire_time.map_or(end, |expires| end.min(expires));
        Ok(())
    }

    fn set_rotation(
        &mut self,
        period: Option<Option<Duration>>,
        recipient: Option<Option<Kid>>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let policy = &mut self.upkeep.rotation;
        match (period, &mut *policy) {
            (None, _) => {}
            (Some(None), _) => *policy = None,
            (Some(Some(period)), Some(known)) if known.period == period => {}
            (Some(Some(period)), known) => {
                let recipient = known.take().and_then(|known| known.recipient);
                *known = Some(RotationPolicy::begin(period, recipient, now));
            }
        }
        match (recipient, policy) {
            (Some(recipient), Some(policy)) => policy.recipient = recipient,
            (Some(Some(_)), None) => {
                let what = "needs a rotation_period";
                return Err(Refusal::FieldInvalid(Violations::one("key.rotation_recipient_kid", what)));
            }
            (Some(None) | None, _) => {}
        }
        Ok(())
    }

    /// Nobody grants what they lack: neither by adding a permission, nor by waking an
    /// expired or disabled key that holds it, nor by letting it be used from or for more, or
    /// for longer, nor by handing its next secret to somebody. Limits are not permissions: who
    /// edits may set them.
    fn may_be_granted(&self, before: &Self, grantable: &[Permission], now: Timestamp) -> Result<(), Refusal> {
        let (was, is) = (before.state(now), self.state(now));
        let wakes = (was != KeyState::Active && is == KeyState::Active)
            || (was == KeyState::Expired && is != KeyState::Expired);
        let recipient = |key: &Self| key.upkeep.rotation.as_ref().and_then(|rotation| rotation.recipient.clone());
        let hands_over = recipient(self).is_some() && recipient(self) != recipient(before);
        let grants_anew = wakes
            || self.lasts_longer_than(before)
            || hands_over
            || before.restrictions.is_narrower_than(&self.restrictions);
        let exceeds = |permission: &&Permission| {
            (grants_anew || !any_covers(&before.permissions, permission)) && !any_covers(grantable, permission)
        };
        match self.permissions.iter().find(exceeds) {
            Some(permission) => Err(Refusal::GrantExceeded(format!("the permission {permission}"))),
            None => Ok(()),
        }
    }

    /// Takes the limits that another key of its chain was given, since they spend one budget. What
    /// has ended stays as it is.
    pub fn share(&mut self, limits: &Limits, now: Timestamp) -> Changed {
        if self.is_revoked(now) || self.limits == *limits {
            return Changed::No;
        }
        let before = std::mem::replace(&mut self.limits, limits.clone());
        self.update_time = now;
        Changed::Yes(self.limits.is_narrower_than(&before).then_some(Cause::Narrowed))
    }

    /// The names of the fields in which it differs from what it was, as an update names them.
    #[must_use]
    pub fn fields_unlike(&self, before: &Self) -> Vec<&'static str> {
        let rotation = |key: &Self| key.upkeep.rotation.as_ref().map(|rotation| rotation.period);
        let recipient = |key: &Self| key.upkeep.rotation.as_ref().and_then(|rotation| rotation.recipient.clone());
        let differ = [
            ("name", self.name != before.name),
            ("description", self.description != before.description),
            ("permissions", self.permissions != before.permissions),
            ("ip_allowlist", self.restrictions.ip_ranges != before.restrictions.ip_ranges),
            ("referrer_allowlist", self.restrictions.referrers != before.restrictions.referrers),
            ("resource_allowlist", self.restrictions.resources != before.restrictions.resources),
            ("rate_limits", self.limits.rate_limits != before.limits.rate_limits),
            ("quotas", self.limits.quotas != before.limits.quotas),
            ("labels", self.labels != before.labels),
            ("disabled", self.disabled != before.disabled),
            ("expire_time", self.expire_time != before.expire_time),
            ("overlap_end_time", overlap_end(self) != overlap_end(before)),
            ("auto_renew", self.upkeep.auto_renew != before.upkeep.auto_renew),
            ("rotation_period", rotation(self) != rotation(before)),
            ("rotation_recipient_kid", recipient(self) != recipient(before)),
        ];
        differ.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }

    fn lasts_longer_than(&self, before: &Self) -> bool {
        let longer = match (self.expire_time, before.expire_time) {
            (Some(now), Some(then)) => now > then,
            (None, then) => then.is_some(),
            (Some(_), None) => false,
        };
        let renews = self.upkeep.auto_renew && !before.upkeep.auto_renew;
        longer || renews || overlap_end(self) > overlap_end(before)
    }

    fn narrowed_from(&self, before: &Self) -> Option<Cause> {
        let earlier = match (self.expire_time, before.expire_time) {
            (Some(now), Some(then)) => now < then,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let narrowed = earlier
            || overlap_end(self) < overlap_end(before)
            || !all_covered(&self.permissions, &before.permissions)
            || self.restrictions.is_narrower_than(&before.restrictions)
            || self.limits.is_narrower_than(&before.limits);
        if self.disabled && !before.disabled { Some(Cause::Disabled) } else { narrowed.then_some(Cause::Narrowed) }
    }
}

fn overlap_end(key: &Key) -> Option<Timestamp> {
    key.lineage.successor.map(|successor| successor.overlap_end_time)
}
