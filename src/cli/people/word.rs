//! The values of the protos' enums as words: those that flags take, and those that are shown.

use clap::ValueEnum;

use crate::pb;

/// `KEY_STATE_ACTIVE` without its prefix, in small letters and with hyphens.
pub(in crate::cli) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident of $proto:ident { $($(#[$of:meta])* $value:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(in crate::cli) enum $name {
            $($(#[$of])* $value),+
        }

        impl From<$name> for i32 {
            fn from(word: $name) -> i32 {
                match word {
                    $($name::$value => pb::$proto::$value.into()),+
                }
            }
        }
    };
}

words!(KeyKind of KeyType { Secret, Publishable });
words!(Environment of KeyEnvironment { Live, Test });
words!(Reason of RevokeReason { Compromised, Leaked, Superseded, Unused, OwnerGone, Policy, Other });
words!(
    /// How long a change waits before it is answered.
    Wait of RevokeWait {
        /// Until every replica, and everybody who keeps answers, answers by it
        Everywhere,
        /// Until every replica answers by it
        Replicas,
        /// Until it is durable
        None,
    }
);
words!(PlanWord of Plan { Free, Professional, Enterprise });
words!(Leaks of LeakPolicy { Alert, Disable, Revoke });
words!(RoleWord of Role { Admin, Viewer, Editor, Verifier, Watcher });
words!(Step of UsageStep { Hour, Day });

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a flag, and those of the proto's values but for the first, which is UNSPECIFIED.
    fn same<W: ValueEnum>(names: impl Fn(i32) -> Option<&'static str>, prefix: &str) {
        let flags: Vec<_> = W::value_variants().iter().filter_map(W::to_possible_value).collect();
        let flags: Vec<_> = flags.iter().map(|value| value.get_name().to_owned()).collect();
        let protos: Vec<_> = (1..50).filter_map(names).map(|name| word(name, prefix)).collect();
        assert_eq!(flags, protos);
    }

    #[test]
    fn a_flag_has_the_words_of_its_enum() {
        macro_rules! check {
            ($($word:ident $proto:ident $prefix:literal),+) => {
                $(same::<$word>(|n| pb::$proto::try_from(n).ok().map(|value| value.as_str_name()), $prefix);)+
            };
        }
        check!(
            KeyKind KeyType "KEY_TYPE_", Environment KeyEnvironment "KEY_ENVIRONMENT_", Reason RevokeReason "REVOKE_REASON_",
            Wait RevokeWait "REVOKE_WAIT_", PlanWord Plan "PLAN_", Leaks LeakPolicy "LEAK_POLICY_", RoleWord Role "ROLE_",
            Step UsageStep "USAGE_STEP_"
        );
        assert_eq!(i32::from(Reason::OwnerGone), 5);
    }
}
