//! The decision: is this key good for this request? A pure function of the key, the
//! facts of the request, and the time.

use std::sync::Arc;

use super::{
    id::{ApplicationId, KeyId},
    key::{KeyEnvironment, KeyType},
    permission::{Permission, all_covered},
    text::Label,
    time::Timestamp,
};

/// What the decision rests on: all of a key that Verify needs, as the index keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    pub id: KeyId,
    pub application_id: ApplicationId,
    pub name: Arc<str>,
    pub kind: KeyType,
    pub environment: KeyEnvironment,
    pub permissions: Arc<[Permission]>,
    pub labels: Arc<[Label]>,
    pub expire_time: Option<Timestamp>,
    pub disabled: bool,
    pub revoked: bool,
}

/// What the verifier knows of the request.
#[derive(Debug, Clone)]
pub struct Facts {
    pub environment: KeyEnvironment,
    pub required_permissions: Vec<Permission>,
}

/// In order of precedence. Only `Valid` admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    Malformed,
    NotFound,
    Revoked,
    Expired,
    Disabled,
    EnvironmentNotAllowed,
    PermissionMissing,
}

/// Decides over a key that was found: its state before the environment before the
/// permissions, so that a dead key says so whatever it was asked for.
#[must_use]
pub fn decide(key: &KeyFacts, facts: &Facts, now: Timestamp) -> Verdict {
    if key.revoked {
        Verdict::Revoked
    } else if key.expire_time.is_some_and(|at| at <= now) {
        Verdict::Expired
    } else if key.disabled {
        Verdict::Disabled
    } else if key.environment != facts.environment {
        Verdict::EnvironmentNotAllowed
    } else if !all_covered(&key.permissions, &facts.required_permissions) {
        Verdict::PermissionMissing
    } else {
        Verdict::Valid
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn any_environment() -> impl Strategy<Value = KeyEnvironment> {
        prop_oneof![Just(KeyEnvironment::Live), Just(KeyEnvironment::Test)]
    }

    fn permissions(max: usize) -> impl Strategy<Value = Vec<Permission>> {
        let one = proptest::sample::select(vec!["*", "tasks:*", "*:read", "tasks:read", "tasks:write", "users:read"]);
        proptest::collection::vec(one.prop_map(|text| text.parse().expect("permission")), 0..max)
    }

    prop_compose! {
        fn any_key()(
            environment in any_environment(), permissions in permissions(4), expire in proptest::option::of(0_i64..20),
            disabled: bool, revoked: bool,
        ) -> KeyFacts {
            KeyFacts {
                id: KeyId::new(Uuid::from_u128(1)),
                application_id: ApplicationId::new(Uuid::from_u128(2)),
                name: "k".into(),
                kind: KeyType::Secret,
                environment,
                permissions: permissions.into(),
                labels: [].into(),
                expire_time: expire.map(Timestamp::from_micros),
                disabled,
                revoked,
            }
        }
    }

    /// The naive model: every failing check, then the first of them in the documented order.
    fn model(key: &KeyFacts, facts: &Facts, now: i64) -> Verdict {
        let mut failing = Vec::new();
        for wanted in &facts.required_permissions {
            if !key.permissions.iter().any(|held| held.covers(wanted)) {
                failing.push((5, Verdict::PermissionMissing));
            }
        }
        if key.environment != facts.environment {
            failing.push((4, Verdict::EnvironmentNotAllowed));
        }
        if key.disabled {
            failing.push((3, Verdict::Disabled));
        }
        if let Some(at) = key.expire_time
            && now >= at.micros()
        {
            failing.push((2, Verdict::Expired));
        }
        if key.revoked {
            failing.push((1, Verdict::Revoked));
        }
        failing.into_iter().min_by_key(|(rank, _)| *rank).map_or(Verdict::Valid, |(_, verdict)| verdict)
    }

    proptest! {
        #[test]
        fn decide_is_the_naive_model(
            key in any_key(), environment in any_environment(), required in permissions(3), now in 0_i64..20,
        ) {
            let facts = Facts { environment, required_permissions: required };
            prop_assert_eq!(decide(&key, &facts, Timestamp::from_micros(now)), model(&key, &facts, now));
        }

        #[test]
        fn taking_a_permission_away_never_admits_more(
            key in any_key(), environment in any_environment(), required in permissions(3), now in 0_i64..20, drop in 0_usize..4,
        ) {
            let facts = Facts { environment, required_permissions: required };
            let mut less = key.clone();
            less.permissions = key.permissions.iter().enumerate().filter(|(i, _)| *i != drop).map(|(_, p)| p.clone()).collect();
            if decide(&less, &facts, Timestamp::from_micros(now)) == Verdict::Valid {
                prop_assert_eq!(decide(&key, &facts, Timestamp::from_micros(now)), Verdict::Valid);
            }
        }
    }
}
