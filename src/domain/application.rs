use std::time::Duration;

use super::{
    alert::AlertThresholds,
    email::EmailAddress,
    event::{Cause, Changed, set},
    id::{ApplicationId, Revision, Versioned},
    limit::{Plan, PlanKind, RateLimit},
    notice::LeakPolicy,
    refusal::{Refusal, Violations},
    secret::KeyPrefix,
    text::Name,
    time::Timestamp,
};

/// A tenant. Every key belongs to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub id: ApplicationId,
    pub name: Name,
    pub plan: Plan,
    /// How long a verifier may answer a VALID again by itself; zero: not at all.
    pub max_cache_ttl: Duration,
    /// The first part of the keys that are made from now on.
    pub key_prefix: Option<KeyPrefix>,
    /// How long a key stays good beside the one that it was rotated to.
    pub overlap: Duration,
    /// Who is written to.
    pub notify_emails: Vec<EmailAddress>,
    pub leak_policy: LeakPolicy,
    pub alert_thresholds: AlertThresholds,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub revision: Revision,
}

/// New values for the fields that an update names.
#[derive(Debug, Clone, Default)]
pub struct ApplicationPatch {
    pub name: Option<Name>,
    pub plan: Option<PlanKind>,
    pub rate_limits: Option<Vec<RateLimit>>,
    pub max_cache_ttl: Option<Duration>,
    /// `Some(None)`: none.
    pub key_prefix: Option<Option<KeyPrefix>>,
    pub overlap: Option<Duration>,
    pub notify_emails: Option<Vec<EmailAddress>>,
    pub leak_policy: Option<LeakPolicy>,
    pub alert_thresholds: Option<AlertThresholds>,
}

impl Versioned for Application {
    fn changed_by(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

/// The longest that a verifier may answer by itself.
pub const MAX_CACHE_TTL: Duration = Duration::from_secs(60);
/// Where nothing else is wanted.
pub const USUAL_OVERLAP: Duration = Duration::from_hours(48);

impl Application {
    /// Answers whether anything changed, and the cause if keys may be good for less than before.
    pub fn update(&mut self, patch: ApplicationPatch, now: Timestamp) -> Result<Changed, Refusal> {
        let before = self.clone();
        let ApplicationPatch { name, plan, rate_limits, max_cache_ttl, key_prefix, .. } = patch;
        let plan = self.plan.patched(plan, rate_limits);
        let invalid = |error| Refusal::FieldInvalid(Violations::one("application.rate_limits", error));
        self.plan = plan.map_err(invalid)?;
        set(&mut self.name, name);
        set(&mut self.max_cache_ttl, max_cache_ttl);
        set(&mut self.key_prefix, key_prefix);
        set(&mut self.overlap, patch.overlap);
        set(&mut self.notify_emails, patch.notify_emails);
        set(&mut self.leak_policy, patch.leak_policy);
        set(&mut self.alert_thresholds, patch.alert_thresholds);
        if *self == before {
            return Ok(Changed::No);
        }
        self.update_time = now;
        let narrowed = self.plan != before.plan || self.max_cache_ttl < before.max_cache_ttl;
        Ok(Changed::Yes(narrowed.then_some(Cause::Narrowed)))
    }

    /// How long verifiers may still answer by what they were told of it before `now`, as far
    /// as it shows: what was changed lately may have allowed any time before.
    #[must_use]
    pub fn may_be_cached_for(&self, now: Timestamp) -> Duration {
        let changed_lately = self.update_time != self.create_time && now.since(self.update_time) <= MAX_CACHE_TTL;
        if changed_lately { MAX_CACHE_TTL } else { self.max_cache_ttl }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn application(max_cache_ttl: u64) -> Application {
        Application {
            id: ApplicationId::new(Uuid::nil()),
            name: Name::parse("a").expect("name"),
            plan: Plan::None,
            max_cache_ttl: Duration::from_secs(max_cache_ttl),
            key_prefix: None,
            overlap: USUAL_OVERLAP,
            notify_emails: Vec::new(),
            leak_policy: LeakPolicy::Alert,
            alert_thresholds: AlertThresholds::default(),
            create_time: at(1_000),
            update_time: at(1_000),
            revision: Revision::default(),
        }
    }

    fn ttl(seconds: u64) -> ApplicationPatch {
        ApplicationPatch { max_cache_ttl: Some(Duration::from_secs(seconds)), ..ApplicationPatch::default() }
    }

    #[test]
    fn a_shorter_time_to_keep_answers_narrows_and_a_longer_one_does_not() {
        for (before, now, changed) in [
            (5, 5, Changed::No),
            (5, 6, Changed::Yes(None)),
            (0, 6, Changed::Yes(None)),
            (5, 4, Changed::Yes(Some(Cause::Narrowed))),
            (5, 0, Changed::Yes(Some(Cause::Narrowed))),
        ] {
            assert_eq!(application(before).update(ttl(now), at(2_000)), Ok(changed), "{before} to {now}");
        }
    }

    #[test]
    fn what_was_changed_lately_may_have_let_verifiers_keep_answers_for_longer() {
        let mut application = application(50);
        assert_eq!(application.may_be_cached_for(at(1_000)), Duration::from_secs(50));
        application.update(ttl(3), at(2_000)).expect("update");
        assert_eq!(application.may_be_cached_for(at(2_060)), MAX_CACHE_TTL);
        assert_eq!(application.may_be_cached_for(at(1_000)), MAX_CACHE_TTL, "the time of day was set back");
        assert_eq!(application.may_be_cached_for(at(2_061)), Duration::from_secs(3));
    }
}
