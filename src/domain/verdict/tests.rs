use proptest::{prelude::*, sample::select};
use uuid::Uuid;

use super::*;
use crate::domain::span::Span;

fn any_environment() -> impl Strategy<Value = KeyEnvironment> {
    prop_oneof![Just(KeyEnvironment::Live), Just(KeyEnvironment::Test)]
}

fn some<T>(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<T>>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    let one = select(texts).prop_map(|text| text.parse().expect(text));
    proptest::collection::vec(one, 0..=most)
}

fn permissions(most: usize) -> impl Strategy<Value = Vec<Permission>> {
    some(&["*", "tasks:*", "*:read", "tasks:read", "tasks:write", "users:read"], most)
}

prop_compose! {
    fn any_restrictions()(
        ip_ranges in some(&["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"], 2),
        referrers in some(&["https://a.example.com", "*.example.com", "http://localhost:8080"], 2),
        resources in some(&["files/*", "files/a", "*"], 2),
    ) -> Restrictions {
        Restrictions { ip_ranges, referrers, resources }
    }
}

prop_compose! {
    fn any_key()(
        environment in any_environment(), permissions in permissions(3), expire in proptest::option::of(0_i64..20),
        restrictions in any_restrictions(), disabled: bool, revoked: bool, expired: bool,
        overlap_end in proptest::option::of(0_i64..20),
    ) -> KeyFacts {
        KeyFacts {
            id: KeyId::new(Uuid::from_u128(1)),
            application_id: ApplicationId::new(Uuid::from_u128(2)),
            name: "k".into(),
            kind: KeyType::Secret,
            environment,
            permissions: permissions.into(),
            restrictions: Arc::new(restrictions),
            limits: Arc::default(),
            labels: [].into(),
            expire_time: expire.map(Timestamp::from_micros),
            expired,
            disabled,
            revoked,
            chain: KeyId::new(Uuid::from_u128(1)),
            successor: overlap_end.map(|end| {
                let key_id = KeyId::new(Uuid::from_u128(3));
                Box::new(Successor { key_id, overlap_end_time: Timestamp::from_micros(end) })
            }),
        }
    }
}

prop_compose! {
    fn any_facts()(
        environment in any_environment(), required_permissions in permissions(2),
        client_ip in select(vec!["", "192.0.2.7", "192.0.2.8", "198.51.100.1", "2001:db8::1"]),
        referrer in select(vec!["", "https://a.example.com/page?q", "https://b.example.com", "http://localhost:8080"]),
        resource in select(vec!["", "files/a", "files/b", "other"]),
    ) -> Facts {
        Facts {
            environment,
            required_permissions,
            client_ip: client_ip.parse().ok(),
            referrer: Origin::parse(referrer).ok(),
            resource: Resource::parse(resource).ok(),
        }
    }
}

fn any_balances() -> impl Strategy<Value = Vec<Balance>> {
    let span = select(vec![Span::Seconds(1), Span::Seconds(60), Span::Day, Span::Month]);
    let balance = (span, any::<bool>()).prop_map(|(span, exceeded)| {
        let (name, reset_time) = ("l".into(), Timestamp::from_micros(30));
        Balance { name, limit: 5, remaining: u64::from(!exceeded), span, reset_time, exceeded }
    });
    proptest::collection::vec(balance, 0..3)
}

/// The naive model: every failing check with its rank, in the documented order.
fn model(key: &KeyFacts, facts: &Facts, balances: &[Balance], now: i64) -> Vec<Verdict> {
    let mut failing = Vec::new();
    for balance in balances.iter().filter(|balance| balance.exceeded) {
        failing.push(match balance.span {
            Span::Seconds(_) => (9, Verdict::RateLimited),
            Span::Day | Span::Month => (10, Verdict::QuotaExceeded),
        });
    }
    let allowed = &key.restrictions;
    if !allowed.resources.is_empty() {
        match &facts.resource {
            Some(resource) if allowed.resources.iter().any(|rule| rule.admits(resource)) => {}
            _ => failing.push((8, Verdict::ResourceNotAllowed)),
        }
    }
    if !allowed.referrers.is_empty() {
        match &facts.referrer {
            Some(origin) if allowed.referrers.iter().any(|rule| rule.admits(origin)) => {}
            _ => failing.push((7, Verdict::ReferrerNotAllowed)),
        }
    }
    if !allowed.ip_ranges.is_empty() {
        match facts.client_ip {
            Some(address) if allowed.ip_ranges.iter().any(|range| range.holds(address)) => {}
            _ => failing.push((6, Verdict::IpNotAllowed)),
        }
    }
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
    if key.expired || key.expire_time.is_some_and(|at| now >= at.micros()) {
        failing.push((2, Verdict::Expired));
    }
    let superseded = key.successor.as_ref().is_some_and(|successor| now >= successor.overlap_end_time.micros());
    if key.revoked || superseded {
        failing.push((1, Verdict::Revoked));
    }
    failing.sort_by_key(|(rank, _)| *rank);
    failing.dedup();
    failing.into_iter().map(|(_, verdict)| verdict).collect()
}

proptest! {
    #[test]
    fn decide_is_the_naive_model(
        key in any_key(), facts in any_facts(), balances in any_balances(), now in 0_i64..20,
    ) {
        let at = Timestamp::from_micros(now);
        let expected = model(&key, &facts, &balances, now);
        prop_assert_eq!(decide(&key, &facts, &balances, at), expected.first().copied().unwrap_or(Verdict::Valid));
        prop_assert_eq!(failing(&key, &facts, &balances, at).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn taking_a_permission_away_never_admits_more(
        key in any_key(), facts in any_facts(), now in 0_i64..20, drop in 0_usize..4,
    ) {
        let now = Timestamp::from_micros(now);
        let mut less = key.clone();
        less.permissions = key.permissions.iter().enumerate().filter(|(i, _)| *i != drop).map(|(_, p)| p.clone()).collect();
        if decide(&less, &facts, &[], now) == Verdict::Valid {
            prop_assert_eq!(decide(&key, &facts, &[], now), Verdict::Valid);
        }
    }

    #[test]
    fn knowing_less_of_a_request_never_admits_more(key in any_key(), facts in any_facts(), now in 0_i64..20, which in 0_u8..3) {
        let now = Timestamp::from_micros(now);
        let mut less = facts.clone();
        match which {
            0 => less.client_ip = None,
            1 => less.referrer = None,
            _ => less.resource = None,
        }
        if decide(&key, &less, &[], now) == Verdict::Valid {
            prop_assert_eq!(decide(&key, &facts, &[], now), Verdict::Valid);
        }
    }
}

#[test]
fn verdicts_stand_in_their_order() {
    assert!(Verdict::ALL.is_sorted());
    assert!(CHECKS.is_sorted());
}
