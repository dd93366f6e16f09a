//! What a key may do, and what covers what.

use std::{fmt, str::FromStr, sync::Arc};

use super::text::is_word_byte;

/// `segment:segment`, either segment `*` or 1 to 64 of `[a-z0-9_.-]`; or `*` alone.
///
/// `*`, `*:*` and `admin:*` are full access.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(Arc<str>);

/// Not of a permission's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a permission is `resource:action`, each `*` or 1 to 64 of a-z, 0-9, `_`, `.` and `-`; or `*`")]
pub struct PermissionMalformed;

/// How many a key, a call or an account may name.
pub const MAX_PERMISSIONS: usize = 100;
const MAX_SEGMENT: usize = 64;

impl Permission {
    /// Everything.
    #[must_use]
    pub fn full() -> Self {
        Self("*".into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(&*self.0, "*" | "*:*" | "admin:*")
    }

    /// Whether whoever holds this may do all that `wanted` stands for. A wildcard is
    /// covered by a wildcard only, never by what it happens to match.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        if self.is_full() {
            return true;
        }
        match (self.0.split_once(':'), wanted.0.split_once(':')) {
            (Some((resource, action)), Some((wanted_resource, wanted_action))) if !wanted.is_full() => {
                segment_covers(resource, wanted_resource) && segment_covers(action, wanted_action)
            }
            _ => false,
        }
    }
}

fn segment_covers(held: &str, wanted: &str) -> bool {
    held == "*" || held == wanted
}

/// Whether one of `held` covers `wanted`.
#[must_use]
pub fn any_covers(held: &[Permission], wanted: &Permission) -> bool {
    held.iter().any(|permission| permission.covers(wanted))
}

/// Whether each of `wanted` is covered by one of `held`.
#[must_use]
pub fn all_covered(held: &[Permission], wanted: &[Permission]) -> bool {
    wanted.iter().all(|permission| any_covers(held, permission))
}

impl FromStr for Permission {
    type Err = PermissionMalformed;

    fn from_str(text: &str) -> Result<Self, PermissionMalformed> {
        let is_segment = |segment: &str| {
            segment == "*" || (!segment.is_empty() && segment.len() <= MAX_SEGMENT && segment.bytes().all(is_word_byte))
        };
        let fits = text == "*" || text.split_once(':').is_some_and(|(a, b)| is_segment(a) && is_segment(b));
        if fits { Ok(Self(text.into())) } else { Err(PermissionMalformed) }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permission(text: &str) -> Permission {
        text.parse().expect(text)
    }

    #[test]
    fn forms() {
        for good in ["tasks:read", "*:read", "tasks:*", "*", "*:*", "admin:*", "a.b-c_d:0"] {
            assert!(good.parse::<Permission>().is_ok(), "{good}");
        }
        for bad in
            ["", ":", "tasks", "tasks:", ":read", "Tasks:read", "a:b:c", "*:*:*", "**", "t*:read", "tä:read", "a:b\n"]
        {
            assert!(bad.parse::<Permission>().is_err(), "{bad:?}");
        }
        assert!(format!("{}:read", "a".repeat(65)).parse::<Permission>().is_err());
    }

    #[test]
    fn a_wildcard_is_covered_by_a_wildcard_only() {
        assert!(permission("tasks:*").covers(&permission("tasks:read")));
        assert!(permission("tasks:*").covers(&permission("tasks:*")));
        assert!(!permission("tasks:*").covers(&permission("*:read")));
        assert!(!permission("tasks:read").covers(&permission("tasks:*")));
        assert!(!permission("*:read").covers(&permission("*")));
        assert!(permission("admin:*").covers(&permission("*")));
        assert!(!permission("admin:read").covers(&permission("admin:*")));
    }

    fn any_permission() -> impl Strategy<Value = Permission> {
        proptest::sample::select(vec![
            "*",
            "*:*",
            "admin:*",
            "admin:read",
            "*:read",
            "*:write",
            "tasks:*",
            "tasks:read",
            "tasks:write",
            "users:*",
            "users:read",
            "users:write",
        ])
        .prop_map(permission)
    }

    /// The naive model: a permission is the set of concrete ones that it stands for,
    /// over a universe with a name that nobody ever wrote in each place.
    fn meaning(permission: &Permission) -> Vec<(String, String)> {
        let universe = |own: [&'static str; 4]| own.map(String::from);
        let (resource, action) = match permission.as_str() {
            "*" | "admin:*" => ("*", "*"),
            text => text.split_once(':').expect("pair"),
        };
        let mut set = Vec::new();
        for r in universe(["admin", "tasks", "users", "unheard-of"]) {
            for a in universe(["read", "write", "delete", "unheard-of"]) {
                if (resource == "*" || resource == r) && (action == "*" || action == a) {
                    set.push((r.clone(), a));
                }
            }
        }
        set
    }

    proptest! {
        #[test]
        fn covers_is_the_subset_of_meanings(held in any_permission(), wanted in any_permission()) {
            let (held_set, wanted_set) = (meaning(&held), meaning(&wanted));
            prop_assert_eq!(held.covers(&wanted), wanted_set.iter().all(|pair| held_set.contains(pair)));
        }

        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "\\PC{0,140}") {
            if let Ok(permission) = text.parse::<Permission>() {
                prop_assert_eq!(permission.as_str(), text);
            }
        }
    }
}
