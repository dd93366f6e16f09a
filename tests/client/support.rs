use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use portcullis::{
    client::{Account, Credentials},
    signing::PrivateKey,
};
use tempfile::TempDir;

/// A service account with a credentials file.
pub(crate) struct Caller {
    pub(crate) credentials: Credentials,
    pub(crate) file: PathBuf,
    _folder: TempDir,
}

impl Caller {
    pub(crate) fn new(endpoint: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let account = Account {
            client_id: "sa_1".to_owned(),
            client_email: "admin@demo.portcullis".to_owned(),
            audience: "portcullis".to_owned(),
            endpoint,
        };
        let credentials = Credentials::new(account, PrivateKey::generate().expect("generate"));
        let file = folder.path().join("admin.json");
        credentials.write_new(&file).expect("write");
        Self { credentials, file, _folder: folder }
    }

    /// A command with these credentials.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = portcullis(arguments);
        command.env("PORTCULLIS_CREDENTIALS", &self.file);
        command
    }
}

/// The program, without what the developer's own shell sets.
pub(crate) fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null()).env("COLUMNS", "100");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS_")) {
        command.env_remove(name);
    }
    command
}

/// What a program printed and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

pub(crate) fn run(command: &mut Command) -> Ended {
    command.output().expect("start").into()
}
