use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use super::Programs;

/// The folder of a cluster, and the process that ends its servers and removes it when the
/// test's own process is gone, however that ended: it reads a pipe that nobody else holds.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) folder: PathBuf,
    pipe: Option<ChildStdin>,
    process: Child,
}

/// Room that a cluster may need, in KiB.
const ROOM: u64 = 1024 * 1024;

/// Arguments: the folder, and `pg_ctl`. A server that a test has stopped by SIGSTOP must go on
/// to end. A pid file may be of a server that was killed, and its number of somebody else now.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
while read -r _; do :; done
for file in "$1"/*/postmaster.pid; do
  [ -e "$file" ] || continue
  data=${file%/postmaster.pid}
  read -r pid <"$file"
  [ "$(readlink "/proc/$pid/cwd")" = "$data" ] || continue
  children=$(grep -l "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status | cut -d/ -f3)
  kill -s CONT $pid $children
  "$2" stop -D "$data" -m immediate -t 10 || kill -s KILL $pid $children
done
rm -rf "$1"
"#;

impl Keeper {
    pub(crate) fn start(programs: &Programs, on_disk: bool) -> Self {
        let place = if on_disk { std::env::temp_dir() } else { place() };
        let folder = tempfile::Builder::new().prefix("portcullis-pg-").tempdir_in(place).expect("folder").keep();
        programs.hand_over(&folder);
        let mut process = programs
            .as_user("sh", Path::new("/"))
            .args(["-c", SCRIPT, "keeper"])
            .args([&folder, &programs.bin().join("pg_ctl")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for the test; the keeper hears of it by the pipe.
            .process_group(0)
            .spawn()
            .expect("sh");
        let pipe = process.stdin.take();
        Self { folder, pipe, process }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It ends by itself; where it does not, there is nobody to tell.
        let _ = self.process.wait();
    }
}

/// Memory where there is enough of it: every commit waits for the disk.
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if free(&memory).is_some_and(|free| free >= ROOM) { memory } else { std::env::temp_dir() }
}

fn free(folder: &Path) -> Option<u64> {
    fs::metadata(folder).ok()?;
    let output = Command::new("df").args(["-kP"]).arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}
