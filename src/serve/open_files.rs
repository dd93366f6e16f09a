//! How many files the process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that the process may have if it asks for them. `None`: there is no limit.
#[must_use]
pub fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Asks for the most, and says how many it may have now. The soft limit, often 1,024, is for programs that cannot cope with more.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let asked = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if asked.is_ok() { maximum } else { current }
}
