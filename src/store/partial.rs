//! A file that is being made beside its place, and what is left of those that were never finished.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use tempfile::NamedTempFile;

/// Nobody gives such a name to what is to stay.
const PREFIX: &str = ".portcullis-backup";
const SUFFIX: &str = ".part";

/// Readable by its owner only; goes when this does, unless it is put into its place.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) file: NamedTempFile,
    _folder: File,
}

impl Partial {
    /// Each that is being made holds the lock of its folder together with the others. So whoever gets it alone
    /// knows that nobody goes on with what lies there, and takes it away.
    pub(super) fn beside(out: &Path) -> io::Result<Self> {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let lock = File::open(folder)?;
        if lock.try_lock().is_ok() {
            remove_left(folder);
        }
        // Where a file system has no such locks nobody gets it alone.
        let _ = lock.lock_shared();
        let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder)?;
        Ok(Self { file, _folder: lock })
    }
}

/// Only this user's. What cannot be taken away is in nobody's way but the disk's.
fn remove_left(folder: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let whose = name.strip_suffix("-journal").unwrap_or(&name);
        if !whose.starts_with(PREFIX) || !whose.ends_with(SUFFIX) {
            continue;
        }
        if entry.metadata().is_ok_and(|left| left.is_file() && left.uid() == user) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
