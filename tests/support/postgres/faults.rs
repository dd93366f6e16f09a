use std::{fs, process::Command, time::Duration};

use super::Node;

/// Which process of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// One that serves the application, the n-th of them by age, counted round.
    Client(usize),
    /// The one that sends the log to a standby.
    WalSender,
}

/// Processes that stand still until this is dropped.
#[derive(Debug)]
pub(crate) struct Paused(Vec<u32>);

impl Paused {
    /// Stops these by SIGSTOP.
    pub(crate) fn these(pids: Vec<u32>) -> Self {
        signal("STOP", &pids);
        Self(pids)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

impl Node {
    /// All its processes stand still, as on a machine that is paused.
    pub(crate) fn pause(&self) -> Paused {
        Paused::these(self.processes())
    }

    /// One of its processes does. None where there is no such process.
    pub(crate) fn pause_backend(&self, which: Backend) -> Option<Paused> {
        Some(Paused::these(vec![self.backend(which)?]))
    }

    /// The process ends at once. For a backend that is a crash: the server ends all the others,
    /// too, and recovers from its log.
    pub(crate) fn kill_backend(&self, which: Backend) -> bool {
        let pid = self.backend(which);
        signal("KILL", pid.as_slice());
        pid.is_some()
    }

    /// All at once, as when its machine loses power; what was written stays.
    pub(crate) fn kill9(&self) {
        let pids = self.processes();
        signal("KILL", &pids);
        self.reap();
        for _ in 0..1000 {
            if pids.iter().all(|pid| is_gone(*pid)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} was killed and goes on", self.name);
    }

    /// Ends the sessions of the application, as an operator or a proxy may. Says how many.
    pub(crate) fn terminate_backends(&self) -> usize {
        self.psql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {CLIENTS}")).lines().count()
    }

    /// Cancels what the application's sessions are about: a commit that waits for a standby
    /// then says that it is done.
    pub(crate) fn cancel_backends(&self) -> usize {
        self.psql(&format!("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {CLIENTS}")).lines().count()
    }

    pub(crate) fn backend(&self, which: Backend) -> Option<u32> {
        let (all, n) = match which {
            Backend::Client(n) => (CLIENTS, n),
            Backend::WalSender => ("backend_type = 'walsender'", 0),
        };
        let sql = format!("SELECT pid FROM pg_stat_activity WHERE {all} ORDER BY backend_start, pid");
        let pids = self.try_psql("postgres", &sql).ok()?;
        let pids: Vec<u32> = pids.lines().filter_map(|pid| pid.parse().ok()).collect();
        pids.get(n.checked_rem(pids.len())?).copied()
    }

    /// The first is the server itself: told first, so that it starts no other meanwhile.
    fn processes(&self) -> Vec<u32> {
        let Some(server) = self.pid() else { return Vec::new() };
        let children = pids().filter(|pid| stat(*pid).is_some_and(|(_, parent)| parent == server));
        [server].into_iter().chain(children).collect()
    }

    /// Its own, also where the file is left over and the number is somebody else's now.
    fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        (fs::read_link(format!("/proc/{pid}/cwd")).ok()? == self.data()).then_some(pid)
    }
}

const CLIENTS: &str = "backend_type = 'client backend' AND usename = 'portcullis'";

pub(crate) fn signal(signal: &str, pids: &[u32]) {
    if !pids.is_empty() {
        // One of them may have ended by itself meanwhile.
        let _ = Command::new("kill").args(["-s", signal]).args(pids.iter().map(u32::to_string)).output();
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and parent. The name before them is in brackets, and may hold anything.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// A zombie that nobody waits for is gone, too.
fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z" || state == "X")
}
