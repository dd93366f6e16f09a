//! Where from and what for a key may be used.

use super::{network::IpRange, referrer::ReferrerRule, resource::ResourceRule};

/// How many entries each list may have.
pub const MAX_ALLOWED: usize = 100;

/// Three lists; an empty one restricts nothing. What a list restricts must be known of a
/// request: a request that does not say it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Restrictions {
    pub ip_ranges: Vec<IpRange>,
    pub referrers: Vec<ReferrerRule>,
    pub resources: Vec<ResourceRule>,
}

impl Restrictions {
    /// Whether something is restricted that was not in `before`. By the entries as they
    /// are: a range inside another one counts as new.
    #[must_use]
    pub fn is_narrower_than(&self, before: &Self) -> bool {
        narrows(&self.ip_ranges, &before.ip_ranges)
            || narrows(&self.referrers, &before.referrers)
            || narrows(&self.resources, &before.resources)
    }
}

/// Whether one of `allowed` admits the fact; without entries anything does, with entries
/// an unknown fact does not.
pub(super) fn admits<R, F>(allowed: &[R], fact: Option<F>, admits: impl Fn(&R, F) -> bool) -> bool
where
    F: Copy,
{
    allowed.is_empty() || fact.is_some_and(|fact| allowed.iter().any(|rule| admits(rule, fact)))
}

fn narrows<R: PartialEq>(now: &[R], before: &[R]) -> bool {
    !now.is_empty() && (before.is_empty() || before.iter().any(|rule| !now.contains(rule)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrower_is_an_entry_taken_away_or_a_first_one() {
        for (before, now, narrower) in [
            (&[][..], &["a"][..], true),
            (&["a"], &[], false),
            (&["a"], &["a", "b"], false),
            (&["a", "b"], &["b"], true),
            (&["a"], &["b"], true),
            (&["a", "b"], &["b", "a"], false),
        ] {
            assert_eq!(narrows(now, before), narrower, "{before:?} to {now:?}");
        }
    }

    #[test]
    fn a_restricted_fact_that_is_not_told_is_refused() {
        let equal = |rule: &i32, fact: i32| *rule == fact;
        assert!(admits(&[], None, equal));
        assert!(admits(&[], Some(1), equal));
        assert!(!admits(&[1], None, equal));
        assert!(!admits(&[1, 2], Some(3), equal));
        assert!(admits(&[1, 2], Some(2), equal));
    }
}
