use std::fmt;

/// Why an acknowledged commit could be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    #[error("fsync is off: a crash of its machine loses commits; set fsync = on")]
    NoFsync,
    #[error("synchronous_commit is {0}: commits are acknowledged before they are safe; let it be on")]
    AsynchronousCommit(SynchronousCommit),
    #[error(
        "standbys stream from it, and synchronous_standby_names is empty: a failover loses acknowledged revocations; \
         set synchronous_standby_names"
    )]
    AsynchronousStandby,
    #[error(
        "commits wait for a consumer of logical replication, which keeps no copy of the database: name the standbys in \
         synchronous_standby_names"
    )]
    LogicalStandby,
}

/// A level of `synchronous_commit` that is too weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynchronousCommit {
    Off,
    Local,
    RemoteWrite,
    Unknown,
}

/// Who follows the server, and whether commits wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standbys {
    pub streaming: u32,
    /// Those that commits may wait for; where the role may not see who is, all of them.
    pub waited_for: u32,
    /// Whether there is a list of those that commits wait for.
    pub synchronous: bool,
    /// Whether one of them follows by a logical slot: what it has is no copy of the database.
    pub logical: bool,
    /// Whether the role may see them. Else nobody notices that a wait was cancelled.
    pub sees: bool,
}

impl Standbys {
    /// What is so where [`Standbys::none_is_there`], and what to do.
    pub const NOBODY: [&str; 2] = [
        "the database commits nothing: none of the names in synchronous_standby_names is connected",
        "look at application_name in the standbys' primary_conninfo",
    ];

    /// Whether commits wait for somebody, and nobody of that name is there: they wait for ever.
    #[must_use]
    pub fn none_is_there(self) -> bool {
        self.synchronous && self.waited_for == 0 && !self.logical
    }

    /// Whether one that stops, stops every commit.
    #[must_use]
    pub fn hang_on_one(self) -> bool {
        self.synchronous && self.waited_for < 2
    }
}

impl Weakness {
    /// By what the server says: see
    /// <https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT>.
    pub(super) fn of(fsync: bool, synchronous_commit: &str, standbys: Standbys) -> Option<Self> {
        if !fsync {
            return Some(Self::NoFsync);
        }
        if let Some(level) = SynchronousCommit::weak(synchronous_commit) {
            return Some(Self::AsynchronousCommit(level));
        }
        if standbys.logical {
            return Some(Self::LogicalStandby);
        }
        (standbys.streaming > 0 && !standbys.synchronous).then_some(Self::AsynchronousStandby)
    }
}

impl SynchronousCommit {
    fn weak(level: &str) -> Option<Self> {
        match level {
            "on" | "remote_apply" => None,
            "off" => Some(Self::Off),
            "local" => Some(Self::Local),
            "remote_write" => Some(Self::RemoteWrite),
            _ => Some(Self::Unknown),
        }
    }
}

impl fmt::Display for SynchronousCommit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::RemoteWrite => "remote_write",
            Self::Unknown => "of a kind that this program does not know",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_hang_on_one_where_less_than_two_are_waited_for() {
        let hang = |streaming, waited_for, synchronous| {
            Standbys { streaming, waited_for, synchronous, ..Standbys::default() }.hang_on_one()
        };
        assert_eq!([hang(1, 0, false), hang(0, 0, true), hang(1, 1, true)], [false, true, true]);
        let none = |waited_for, synchronous| {
            Standbys { streaming: 1, waited_for, synchronous, ..Standbys::default() }.none_is_there()
        };
        assert_eq!([none(0, true), none(1, true), none(0, false)], [true, false, false]);
        assert_eq!([hang(2, 1, true), hang(2, 2, true)], [true, false], "one that nobody waits for helps nobody");
    }

    #[test]
    fn what_may_lose_an_acknowledged_commit_is_told_and_nothing_else() {
        let alone = Standbys::default();
        let followed = |synchronous| Standbys { streaming: 1, waited_for: 1, synchronous, ..alone };
        let weak = |level| Some(Weakness::AsynchronousCommit(level));
        for (fsync, level, standbys, expected) in [
            (true, "on", alone, None),
            (true, "remote_apply", followed(true), None),
            (true, "on", Standbys { synchronous: true, ..alone }, None),
            (false, "on", alone, Some(Weakness::NoFsync)),
            (true, "off", alone, weak(SynchronousCommit::Off)),
            (true, "local", followed(true), weak(SynchronousCommit::Local)),
            (true, "remote_write", followed(true), weak(SynchronousCommit::RemoteWrite)),
            (true, "of tomorrow", alone, weak(SynchronousCommit::Unknown)),
            (true, "on", followed(false), Some(Weakness::AsynchronousStandby)),
            (true, "on", Standbys { logical: true, ..followed(true) }, Some(Weakness::LogicalStandby)),
        ] {
            assert_eq!(Weakness::of(fsync, level, standbys), expected, "{fsync} {level} {standbys:?}");
        }
    }
}
