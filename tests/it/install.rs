//! What README.md and docs/install.md tell a newcomer to type is typed: their blocks
//! ```sh run-by=tests/it/install.rs word for word and in order, in a clean folder with a clean
//! home. Where a network namespace can be had, not even a port is another; elsewhere ports are.
//! Only what takes minutes or a network is stood for: the program under test is put where cargo
//! would have put it, and pip finds what it is to install there already. A command line of cargo
//! that the stand-in does not know fails.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    clients::source,
    harness::{
        program::{free_port, run, tool},
        session::{Meaning, Step, steps_run_by},
    },
};

const THIS: &str = "tests/it/install.rs";

/// Each block that begins so goes on until it is stopped: it gets a terminal of its own.
const STAYS: [&str; 2] = ["cargo run --release -- dev\n", "portcullis serve "];

/// What it says once it serves.
const SERVES: &str = "is listening on|: serving address=";

/// Somebody who has Rust, a checkout and nothing else.
struct Newcomer {
    folder: tempfile::TempDir,
    home: tempfile::TempDir,
    path: String,
    network: Network,
    /// What is set before anything is typed, so that nothing is fetched.
    offline: Vec<(&'static str, String)>,
}

/// In a namespace the network is that of the newcomer alone.
enum Network {
    Own(&'static [&'static str]),
    Shared { port: u16 },
}

impl Network {
    fn new() -> Self {
        let may = |command: &&[&str]| {
            let tried = Command::new("unshare").args(*command).args(["sh", "-c", "ip link set lo up"]).output();
            tried.is_ok_and(|tried| tried.status.success())
        };
        let ways: [&'static [&'static str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
        ways.into_iter().find(may).map_or_else(|| Self::Shared { port: free_port() }, Self::Own)
    }
}

impl Newcomer {
    /// `tools`: programs that the documents say must be there.
    fn new(tools: &[PathBuf]) -> Self {
        let (folder, home) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("home"));
        // Of the checkout, what is read by the commands.
        for part in ["docs", "proto"] {
            run(Command::new("cp").args(["-R", &source(part)]).arg(folder.path())).good();
        }
        let bin = home.path().join(".cargo/bin");
        fs::create_dir_all(&bin).expect("folder");
        fs::write(bin.join("cargo"), cargo()).expect("write");
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).expect("mode");
        let folders = [bin].into_iter().chain(tools.iter().filter_map(|tool| tool.parent()).map(Path::to_owned));
        let folders: Vec<_> = folders.map(|folder| folder.display().to_string()).collect();
        let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").expect("PATH"));
        Self { folder, home, path, network: Network::new(), offline: Vec::new() }
    }

    /// With the packages of this Python, which pip then need not fetch. What is not among them it cannot have.
    fn with_packages_of(mut self, python: &Path) -> Self {
        let folder = run(Command::new(python).args(["-c", "import site; print(site.getsitepackages()[0])"])).good();
        self.offline = vec![("PYTHONPATH", folder.trim().to_owned()), ("PIP_NO_INDEX", "1".to_owned())];
        self
    }

    /// Types all of it. What does not work, or prints something else, is told.
    fn types(&self, steps: &[Step]) -> Result<(), String> {
        let mut script = "exec 2>&1\ntrap 'for server in $servers; do kill -- $server; done; wait' EXIT\n".to_owned();
        for (place, step) in steps.iter().enumerate() {
            script += "echo '<<< next'\n";
            script += &match STAYS.iter().any(|begins| step.command.starts_with(begins)) {
                true => self.terminal(place, &step.command),
                false => step.typed(&self.here(&step.command)),
            };
        }
        let mut command = match self.network {
            Network::Own(way) => {
                let mut command = Command::new("unshare");
                command.args(way).args(["sh", "-c", &format!("ip link set lo up\n{script}")]);
                command
            }
            Network::Shared { .. } => {
                let mut command = Command::new("sh");
                command.args(["-c", &script]);
                command
            }
        };
        let ended = run(self.clean(&mut command));
        let printed: Vec<_> = ended.out.split("<<< next\n").skip(1).collect();
        if printed.len() != steps.len() || ended.code != Some(0) {
            let at = printed.len().checked_sub(1).map_or("", |last| &steps[last].command);
            return Err(format!("this does not work:\n{at}{}\n{}", printed.last().unwrap_or(&""), ended.err));
        }
        let mut meaning = Meaning::default();
        for (step, printed) in steps.iter().zip(printed) {
            if let Some(output) = &step.output {
                meaning.compare(&step.command, &self.here(output), printed)?;
            }
        }
        Ok(())
    }

    /// A terminal of its own, which knows nothing of what was set in the other one.
    fn terminal(&self, place: usize, command: &str) -> String {
        let [typed, seen] = ["typed", "seen"].map(|name| self.home.path().join(format!("{name}-{place}")));
        fs::write(&typed, self.here(command)).expect("write");
        let [typed, seen] = [typed, seen].map(|path| path.display().to_string());
        let mut script = "env -i".to_owned();
        for (name, value) in self.variables() {
            let _ = write!(script, " {name}='{value}'");
        }
        let _ = write!(
            script,
            " setsid sh -e {typed} >{seen} 2>&1 &\nservers=\"$servers -$!\"\n\
             timeout 60 sh -c 'until grep -qE \"{SERVES}\" {seen}; do sleep 0.1; done' || {{ cat {seen}; exit 1; }}\n"
        );
        script
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("HOME", self.home.path().display().to_string()),
            ("PATH", self.path.clone()),
            ("COLUMNS", "100".to_owned()),
            ("TZ", "UTC".to_owned()),
        ];
        variables.extend(self.offline.iter().cloned());
        if let Network::Shared { port } = self.network {
            variables.push(("PORTCULLIS_LISTEN", format!("127.0.0.1:{port}")));
        }
        variables
    }

    fn clean<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().envs(self.variables()).current_dir(self.folder.path())
    }

    fn here(&self, text: &str) -> String {
        match self.network {
            Network::Own(_) => text.to_owned(),
            Network::Shared { port } => text.replace("50051", &port.to_string()),
        }
    }
}

/// Stands for cargo.
fn cargo() -> String {
    format!(
        r#"#!/bin/sh
built={}
case "$*" in
  'run --release -- dev')
    mkdir -p target/release && ln -sf "$built" target/release/portcullis && exec target/release/portcullis dev ;;
  'install --locked --path .') ln -sf "$built" "$HOME/.cargo/bin/portcullis" ;;
  *) echo "the documents are not known to say: cargo $*" >&2; exit 101 ;;
esac
"#,
        env!("CARGO_BIN_EXE_portcullis")
    )
}

fn page(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_readme_works_word_for_word() {
    let (grpcurl, python) = (tool("PORTCULLIS_TEST_GRPCURL"), tool("PORTCULLIS_TEST_PYTHON"));
    let (Some(grpcurl), Some(python)) = (grpcurl, python) else { return };
    let steps = steps_run_by(THIS, &page("README.md"));
    assert!(steps.len() >= 8, "{}", steps.len());
    let newcomer = Newcomer::new(&[grpcurl, python.clone()]).with_packages_of(&python);
    newcomer.types(&steps).unwrap_or_else(|wrong| panic!("README.md: {wrong}"));
}

#[test]
fn the_page_on_installing_works_word_for_word() {
    let steps = steps_run_by(THIS, &page("docs/install.md"));
    assert!(steps.len() > 5, "{}", steps.len());
    Newcomer::new(&[]).types(&steps).unwrap_or_else(|wrong| panic!("docs/install.md: {wrong}"));
}

/// The one that would take half an hour.
#[test]
fn no_command_of_the_readme_is_left_out_but_that_of_the_tests() {
    let readme = page("README.md");
    let marks: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("```")).collect();
    let left_out: Vec<_> = marks.iter().filter(|mark| mark.ends_with("not-run")).collect();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(readme.contains("```sh not-run\ntests/run"));
    let commands = marks.iter().filter(|mark| mark.starts_with("sh") || mark.starts_with("console")).count();
    assert_eq!(commands, steps_run_by(THIS, &readme).len() + 1);
}

#[test]
fn what_is_wrong_in_a_document_is_found() {
    let newcomer = Newcomer::new(&[]);
    let types = |commands: &str, prints: &str| {
        let document = format!("```sh run-by={THIS}\n{commands}\n```\n\n```text\n{prints}\n```\n");
        newcomer.types(&steps_run_by(THIS, &document))
    };
    let installed = "cargo install --locked --path .";
    for (commands, prints) in [
        ("cargo install --path nowhere", ""),
        (&*format!("{installed}\nportcullis versions"), ""),
        (&*format!("{installed}\nfalse\nportcullis --version"), "portcullis 0.1.0"),
        (&*format!("{installed}\nportcullis --version"), "portcullis 0.0.9"),
    ] {
        assert!(types(commands, prints).is_err(), "{commands}");
    }
    let version = concat!("portcullis ", env!("CARGO_PKG_VERSION"));
    types(&format!("{installed}\nportcullis --version"), version).expect("right");
}
