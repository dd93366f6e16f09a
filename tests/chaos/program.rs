//! `portcullis serve` as a process, with its own way to the database: killed, stopped for a
//! while, ended, started again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpListener;

use crate::{
    postgres::{Node, Paused, TimeOfDay, free_port, signal},
    proxy::Proxy,
    space::Link,
};

/// How a replica of a test is started.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) lease: Duration,
    pub(crate) more: Vec<String>,
    pub(crate) program: PathBuf,
    /// Its database, by name.
    pub(crate) database: String,
}

/// One replica: its place, which outlives its processes.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) number: usize,
    pub(crate) port: u16,
    pub(crate) proxy: Proxy,
    /// Where it is in a network of its own.
    pub(crate) link: Option<Link>,
    pub(crate) time_of_day: TimeOfDay,
    settings: Settings,
    program: Mutex<PathBuf>,
    url: String,
    log: PathBuf,
    process: Mutex<Option<Child>>,
    /// Counts its processes: an answer of one says nothing about the next.
    runs: AtomicU32,
    /// Whether a process that ended by itself is to be replaced.
    wanted: AtomicBool,
}

/// This build's program; `PORTCULLIS_CHAOS_PROGRAM` names another one in its place.
pub(crate) fn of_this_build() -> PathBuf {
    std::env::var_os("PORTCULLIS_CHAOS_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_portcullis").into()).into()
}

/// A program, without what the developer's own shell sets; but a guard that is to be off is.
pub(crate) fn portcullis(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PORTCULLIS_") && name != "PORTCULLIS_GUARD_OFF" {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Replica {
    pub(crate) async fn new(number: usize, node: &Node, settings: Settings, link: Option<Link>, logs: &Path) -> Self {
        let (proxy, host) = match &link {
            None => (Proxy::to(node.port).await, "127.0.0.1".to_owned()),
            Some(link) => {
                let (listener, address) = link.listen().expect("a port");
                (Proxy::at(TcpListener::from_std(listener).expect("a listener"), node.port), address.ip().to_string())
            }
        };
        Self {
            number,
            port: free_port(),
            url: Node::url_at(&host, proxy.port, &settings.database),
            proxy,
            link,
            time_of_day: TimeOfDay::at(&logs.join(format!("replica-{number}.time"))),
            program: Mutex::new(settings.program.clone()),
            settings,
            log: logs.join(format!("replica-{number}.log")),
            process: Mutex::default(),
            runs: AtomicU32::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    /// Which program it is from its next start on.
    pub(crate) fn becomes(&self, program: &Path) {
        program.clone_into(&mut self.program.lock().expect("lock"));
    }

    pub(crate) fn start(&self) {
        let lease = humantime::format_duration(self.settings.lease).to_string();
        let listen = format!("127.0.0.1:{}", self.port);
        let fixed = ["serve", "--database-url", &self.url, "--listen", &listen, "--lease", &lease];
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut command = portcullis(&self.program.lock().expect("lock"), &fixed);
        command.args(["--signed-calls-per-second", "100000", "--drain", "1s"]).args(&self.settings.more);
        self.time_of_day.of(&mut command);
        if let Some(link) = &self.link {
            command = link.spoke.command(&command);
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        let mut process = self.process.lock().expect("lock");
        self.runs.fetch_add(1, Ordering::SeqCst);
        *process = Some(command.stderr(log).spawn().expect("it starts"));
        self.wanted.store(true, Ordering::SeqCst);
    }

    /// As a power cut would. It stays away until it is started.
    pub(crate) fn kill(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        if let Some(mut process) = self.process.lock().expect("lock").take() {
            process.kill().expect("kill -9");
            process.wait().expect("its end");
        }
    }

    /// As an operator does; killed if it does not end in time. It stays away until it is started.
    pub(crate) fn end(&self) -> Option<ExitStatus> {
        self.wanted.store(false, Ordering::SeqCst);
        let mut process = self.process.lock().expect("lock").take()?;
        signal("TERM", &[process.id()]);
        for _ in 0..200 {
            if let Some(status) = process.try_wait().expect("a child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        process.kill().expect("kill -9");
        process.wait().ok()
    }

    /// It stands still until this is dropped.
    pub(crate) fn pause(&self) -> Paused {
        Paused::these(self.process.lock().expect("lock").iter().map(Child::id).collect())
    }

    /// All that was done to its way to the database is undone.
    pub(crate) fn heal(&self) {
        self.proxy.heal();
        if let Some(link) = &self.link {
            link.heal();
        }
    }

    pub(crate) fn run(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    /// Starts another process where one ended by itself, as every deployment does. Says how it
    /// ended.
    pub(crate) fn tend(&self) -> Option<ExitStatus> {
        let ended = {
            let mut process = self.process.lock().expect("lock");
            process.as_mut()?.try_wait().expect("a child")?
        };
        if self.wanted.load(Ordering::SeqCst) {
            self.start();
        }
        Some(ended)
    }

    /// The last lines of what it said.
    pub(crate) fn said(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}
