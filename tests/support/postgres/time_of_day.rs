//! A time of day of one program's own, which a test steps while it runs. Not libfaketime: that one reads a
//! file anew every few seconds and takes a lock for it, in PostgreSQL's signal handlers, too.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// What is loaded into the programs.
#[derive(Debug)]
struct Library(tempfile::TempDir);

/// How far one program, and what it starts, is ahead of the machine's time of day.
#[derive(Debug, Clone)]
pub(crate) struct TimeOfDay {
    library: Arc<Library>,
    file: PathBuf,
}

impl Library {
    /// One, as long as anybody uses it. Who has Rust has a C compiler: it links by that.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Library>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Self::build());
            *shared = Arc::downgrade(&made);
            made
        })
    }

    fn build() -> Self {
        let folder = tempfile::Builder::new().prefix("portcullis-time-").tempdir().expect("folder");
        // Another user's server loads it as well.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its own folder");
        let source = folder.path().join("time_of_day.c");
        fs::write(&source, include_str!("time_of_day.c")).expect("a source");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(folder.path().join("time_of_day.so"));
        let output = command.arg(source).output().expect("cc, by which Rust links");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(folder)
    }
}

impl TimeOfDay {
    /// The machine's, until it is stepped.
    pub(crate) fn at(file: &Path) -> Self {
        let it = Self { library: Library::shared(), file: file.to_owned() };
        it.step_to(0);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("its own file");
        it
    }

    pub(crate) fn of(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.library.0.path().join("time_of_day.so")).env("STEPPED_TIME_OF_DAY", &self.file);
    }

    /// From here on it is so many seconds ahead of the machine's, or behind it.
    pub(crate) fn step_to(&self, ahead: i64) {
        // At its place, and never cut: the programs look at these bytes.
        let file = fs::File::options().create(true).truncate(false).write(true).open(&self.file).expect("a file");
        file.write_all_at(&ahead.to_ne_bytes(), 0).expect("a step");
    }
}
