//! One CPU for the servers and another for their callers, so that neither waits for the other.

use std::io;

#[cfg(target_os = "linux")]
mod sys {
    pub(super) use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
}

/// Systems without an affinity of threads: nothing is pinned.
#[cfg(not(target_os = "linux"))]
mod sys {
    use std::io;

    #[derive(Debug)]
    pub(super) struct CpuSet;

    impl CpuSet {
        pub(super) const MAX_CPU: usize = 0;
        pub(super) fn new() -> Self {
            Self
        }
        pub(super) fn set(&mut self, _: usize) {}
        pub(super) fn is_set(&self, _: usize) -> bool {
            false
        }
    }

    pub(super) fn sched_getaffinity(_: Option<()>) -> io::Result<CpuSet> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn sched_setaffinity(_: Option<()>, _: &CpuSet) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Two CPUs that this process may use.
#[derive(Debug)]
pub(super) struct Cpus {
    servers: sys::CpuSet,
    callers: sys::CpuSet,
}

impl Cpus {
    /// Binds this thread, and what it starts from now on, to the callers' CPU. `None` where
    /// there are no two.
    pub(super) fn split() -> Option<Self> {
        let usable = sys::sched_getaffinity(None).ok()?;
        let mut usable = (0..sys::CpuSet::MAX_CPU).filter(|cpu| usable.is_set(*cpu));
        let [servers, callers] = [only(usable.next()?), only(usable.next()?)];
        sys::sched_setaffinity(None, &callers).ok()?;
        Some(Self { servers, callers })
    }

    /// A process that `start` starts is bound to the servers' CPU.
    pub(super) fn on_the_servers<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        sys::sched_setaffinity(None, &self.servers)?;
        let started = start();
        sys::sched_setaffinity(None, &self.callers)?;
        started
    }
}

fn only(cpu: usize) -> sys::CpuSet {
    let mut set = sys::CpuSet::new();
    set.set(cpu);
    set
}
