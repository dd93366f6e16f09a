use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The first version that portcullis supports.
const OLDEST: u32 = 15;

/// Where PostgreSQL's programs are, and as whom they run.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    bin: PathBuf,
    /// The server refuses to be root.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// Those in the PATH, or the newest of the places where Debian puts them.
    pub(crate) fn find() -> Result<&'static Self, String> {
        static FOUND: OnceLock<Result<Programs, String>> = OnceLock::new();
        FOUND.get_or_init(find).as_ref().map_err(Clone::clone)
    }

    /// One of the programs, as the server's user, in a folder that this user may enter.
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        self.as_user(self.bin.join(program), folder)
    }

    /// Any program, in the same way.
    pub(crate) fn as_user(&self, program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a folder to the server's user.
    pub(crate) fn hand_over(&self, folder: &Path) {
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid)).expect("root may give a folder away");
        }
    }

    /// The folder of the programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }
}

fn find() -> Result<Programs, String> {
    let bin = candidates().into_iter().find(|bin| version(bin).is_some_and(|version| version >= OLDEST));
    let bin = bin.ok_or_else(|| {
        format!("the tests need PostgreSQL {OLDEST} or newer, with initdb: install the package postgresql")
    })?;
    let user = if is_root() { Some(unprivileged()?) } else { None };
    Ok(Programs { bin, user })
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all: Vec<_> = std::env::split_paths(&path).collect();
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    all.extend(debian.into_iter().map(|(_, bin)| bin));
    // A PATH may hold links to some of them; all of them are where these lead.
    let home = |bin: PathBuf| Some(fs::canonicalize(bin.join("initdb")).ok()?.parent()?.to_owned());
    let is_whole =
        |bin: &PathBuf| ["postgres", "pg_ctl", "psql", "pg_basebackup"].iter().all(|it| bin.join(it).exists());
    all.into_iter().filter_map(home).filter(is_whole).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
fn version(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text.split_whitespace().nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().nth(1) == Some("0")
}

fn unprivileged() -> Result<(u32, u32), String> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |wanted: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(wanted);
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_it.then_some((uid, gid))
        })
    };
    of("postgres").or_else(|| of("nobody")).ok_or_else(|| "no user postgres or nobody to run PostgreSQL as".to_owned())
}
