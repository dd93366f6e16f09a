//! The real binary, as its users have it: processes, their output, their exit codes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a process may take for anything: a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program printed and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// What it said when it was refused with this exit code.
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        self.err
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A folder that is laid out as a checkout in which `cargo build --release` was run.
#[derive(Debug)]
pub(crate) struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let bin = folder.path().join("target/release");
        fs::create_dir_all(&bin).expect("folder");
        symlink(env!("CARGO_BIN_EXE_portcullis"), bin.join("portcullis")).expect("link");
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `portcullis` with these arguments, in this folder.
    pub(crate) fn portcullis(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("target/release/portcullis");
        command.args(arguments);
        command
    }

    /// Any program, without what the developer's own shell sets.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS_")) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env("COLUMNS", "100");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        run(&mut self.portcullis(arguments))
    }
}

pub(crate) fn run(command: &mut Command) -> Ended {
    command.output().expect("start").into()
}

/// A running process whose output is read as it comes.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    err: Option<JoinHandle<String>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start");
        let out = BufReader::new(child.stdout.take().expect("stdout"));
        let mut err = child.stderr.take().expect("stderr");
        let (send, lines) = sync_channel(1000);
        thread::spawn(move || out.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
        let err = thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).expect("UTF-8");
            text
        });
        Self { child, lines, seen: Vec::new(), err: Some(err) }
    }

    /// The lines of its output up to the first one that `is_last` takes.
    pub(crate) fn until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let begin = self.seen.len();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no such line: {:#?}, {:?}", self.seen, self.child.try_wait()),
            }
            if is_last(&self.seen[self.seen.len() - 1]) {
                return self.seen[begin..].to_vec();
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let told = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().expect("kill");
        assert!(told.success());
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let code = loop {
            match self.child.try_wait().expect("wait") {
                Some(status) => break status.code(),
                None if Instant::now() > deadline => panic!("it does not end"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        let err = self.err.take().and_then(|err| err.join().ok()).expect("stderr");
        self.seen.extend(self.lines.iter());
        Ended { code, out: self.seen.join("\n"), err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has, and that no other test is given. Below those that the system hands to outgoing connections,
/// so that none of them takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    let mut ports = (0..1000).map(|_| 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// The program that tests/run installed and names by `variable`. Without it the test skips,
/// but not in CI.
pub(crate) fn tool(variable: &str) -> Option<PathBuf> {
    use std::io::Write as _;

    let path = std::env::var_os(variable).map(PathBuf::from);
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "{variable} is not set, and CI skips nothing");
    if path.is_none() {
        let _ = writeln!(std::io::stderr(), "skipped: {variable} is not set; tests/run sets it");
    }
    path
}
