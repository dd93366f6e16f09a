use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Programs, time_of_day::TimeOfDay};

/// The role that the service has: it owns its databases, and is nobody beyond them.
pub(crate) const ROLE: &str = "portcullis";
/// Asked of nobody; there so that what must not be logged is in every URL.
pub(crate) const PASSWORD: &str = "pa55-never-logged";

/// What a test wants of its server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Lines for `postgresql.conf`.
    pub(crate) settings: Vec<String>,
    /// Where its servers log to, where somebody wants to read that afterwards.
    pub(crate) logs: Option<PathBuf>,
    /// Whether each server has a time of day of its own, which the test may step.
    pub(crate) stepped: bool,
    /// On a disk, where a commit takes as long as it does there; else in memory, if there is room.
    pub(crate) on_disk: bool,
}

/// One server: a primary, or a standby of one.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(super) programs: &'static Programs,
    /// The cluster's folder, with the sockets of all its servers.
    pub(super) folder: PathBuf,
    pub(super) logs: Option<PathBuf>,
    pub(crate) name: String,
    pub(crate) port: u16,
    time_of_day: Option<TimeOfDay>,
    /// A child of the test, not a daemon: not every machine's first process waits for orphans,
    /// and a server does not start beside what looks like another.
    pub(super) server: Arc<Mutex<Option<Child>>>,
}

/// Order by code points is C's, and a mistake in an ORDER BY hides behind it; so is UTC.
const COLLATIONS: [&[&str]; 3] = [
    &["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"],
    &["--locale=en_US.UTF-8"],
    &["--locale=C.UTF-8"],
];

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
fsync = on
synchronous_commit = on
max_connections = 300
max_wal_senders = 10
max_prepared_transactions = 0
wal_keep_size = '64MB'
min_wal_size = '16MB'
max_wal_size = '256MB'
shared_buffers = '64MB'
dynamic_shared_memory_type = mmap
timezone = 'Asia/Kolkata'
log_min_messages = warning
log_line_prefix = '%m [%p] %a '
";

impl Node {
    pub(super) fn new(programs: &'static Programs, folder: &Path, logs: Option<PathBuf>, name: &str) -> Self {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        Self { programs, folder, logs, name, port: free_port(), time_of_day: None, server: Arc::default() }
    }

    /// With a time of day of its own, where that is wanted.
    pub(super) fn stepped(mut self, wanted: bool) -> Self {
        let file = self.folder.join(format!("{}.time", self.name));
        self.time_of_day = wanted.then(|| TimeOfDay::at(&file));
        self
    }

    pub(super) fn is_stepped(&self) -> bool {
        self.time_of_day.is_some()
    }

    /// From here on its time of day is so many seconds ahead of the machine's, or behind it.
    pub(crate) fn step_to(&self, ahead: i64) {
        self.time_of_day.as_ref().expect("a time of day of its own").step_to(ahead);
    }

    /// A new primary, which runs.
    pub(super) fn primary(programs: &'static Programs, folder: &Path, name: &str, options: &Options) -> Self {
        let node = Self::new(programs, folder, options.logs.clone(), name).stepped(options.stepped);
        let made = COLLATIONS.iter().any(|collation| {
            let _ = fs::remove_dir_all(node.data());
            let mut command = node.command("initdb");
            command.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--wal-segsize=4"]);
            command.args(*collation).arg("--pgdata").arg(node.data());
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
        assert!(made, "initdb fails in {}", node.data().display());
        node.configure(SETTINGS);
        node.configure(&options.settings.join("\n"));
        node.listen();
        node.start();
        node.psql(&format!("CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{PASSWORD}'"));
        node
    }

    /// Changes a setting while it runs, and waits until it counts.
    pub(crate) fn set(&self, setting: &str, value: &str) {
        self.psql(&format!("ALTER SYSTEM SET {setting} = '{value}'"));
        self.psql("SELECT pg_reload_conf()");
        self.until(&format!("SELECT 1 FROM pg_settings WHERE name = '{setting}' AND setting = '{value}'"));
    }

    /// Waits until it answers.
    pub(crate) fn start(&self) {
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).process_group(0);
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        if let Some(time_of_day) = &self.time_of_day {
            time_of_day.of(&mut command);
        }
        let child = command.spawn().expect("postgres");
        *self.server.lock().expect("lock") = Some(child);
        for _ in 0..1200 {
            if self.try_psql("postgres", "SELECT 1").is_ok() {
                return;
            }
            let ended = self
                .server
                .lock()
                .expect("lock")
                .as_mut()
                .is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some()));
            assert!(!ended, "{} ended: {}", self.name, fs::read_to_string(self.log()).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{} never answers: {}", self.name, fs::read_to_string(self.log()).unwrap_or_default());
    }

    /// As an operator does who is in a hurry: the sessions end, and all is written down.
    pub(crate) fn stop(&self) {
        let mut command = self.command("pg_ctl");
        good(command.args(["stop", "--mode=fast", "--wait", "--silent", "--pgdata"]).arg(self.data()), &self.log());
        self.reap();
    }

    pub(super) fn reap(&self) {
        if let Some(mut child) = self.server.lock().expect("lock").take() {
            child.wait().expect("its end");
        }
    }

    /// Its files; it must have ended.
    pub(crate) fn remove(&self) {
        fs::remove_dir_all(self.data()).expect("its own files");
    }

    /// What an SQL statement answers to the superuser: a line a row, without spaces.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.try_psql("postgres", sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = self.command("psql");
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        command.args(["--username=postgres", "--dbname", database, "--command", sql]);
        command.arg("--host").arg(&self.folder).arg("--port").arg(self.port.to_string());
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Asks until there is a row.
    pub(crate) fn until(&self, sql: &str) {
        for _ in 0..600 {
            if self.try_psql("postgres", sql).is_ok_and(|rows| !rows.is_empty()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never came true at {}: {sql}", self.name);
    }

    /// How the service reaches a database of it.
    pub(crate) fn url(&self, database: &str) -> String {
        Self::url_by(self.port, database)
    }

    /// By a port that leads to one.
    pub(crate) fn url_by(port: u16, database: &str) -> String {
        Self::url_at("127.0.0.1", port, database)
    }

    /// By a port of another address that leads to one.
    pub(crate) fn url_at(host: &str, port: u16, database: &str) -> String {
        // To another machine a client asks for TLS, unless it is told not to.
        let plain = if host == "127.0.0.1" { "" } else { "?sslmode=disable" };
        format!("postgres://{ROLE}:{PASSWORD}@{host}:{port}/{database}{plain}")
    }

    /// By its socket, as where the database is on the same machine.
    pub(crate) fn socket_url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@/{database}?host={}&port={}", self.folder.display(), self.port)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// What the server logged.
    pub(crate) fn log(&self) -> PathBuf {
        self.logs.as_ref().unwrap_or(&self.folder).join(format!("{}.log", self.name))
    }

    pub(super) fn command(&self, program: &str) -> Command {
        match program {
            "touch" => self.programs.as_user(program, &self.folder),
            _ => self.programs.command(program, &self.folder),
        }
    }

    pub(super) fn listen(&self) {
        self.configure(&format!("port = {}\nunix_socket_directories = '{}'\n", self.port, self.folder.display()));
    }

    /// The last line of a name counts.
    pub(super) fn configure(&self, lines: &str) {
        use std::io::Write as _;

        let path = self.data().join("postgresql.conf");
        let mut file = fs::File::options().append(true).open(path).expect("settings");
        writeln!(file, "{lines}").expect("settings");
    }
}

pub(super) fn good(command: &mut Command, log: &Path) {
    let output = command.output().expect("it runs");
    let (said, log) = (String::from_utf8_lossy(&output.stderr), fs::read_to_string(log).unwrap_or_default());
    assert!(output.status.success(), "{command:?} {}: {said}\n{log}", output.status);
}

/// Below those that the system hands to outgoing connections, so that it is free also when
/// the server starts again.
pub(crate) fn free_port() -> u16 {
    let ports = (0..1000).map(|_| 20_000 + rand::random::<u16>() % 10_000);
    ports.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
