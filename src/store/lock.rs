use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{OpenError, owner::create_for};

/// Keeps a second process off an SQLite file. SQLite itself would let it in, and its
/// index would answer by what it loaded. Held until dropped; the kernel lets go of it
/// when the process dies.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut name = real_path(database).into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        let io = |error| OpenError::Io { path: path.display().to_string(), error };
        let file = match create_for(database, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => OpenOptions::new().write(true).open(&path),
            made => made,
        };
        let file = file.map_err(io)?;
        match file.try_lock() {
            Ok(()) if has_other_names(database) => Err(OpenError::Linked(database.display().to_string())),
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::InUse { path: database.display().to_string(), lock: path.display().to_string() })
            }
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

impl FileLock {
    /// Whether somebody has it; makes nothing.
    pub(super) fn is_taken(database: &Path) -> bool {
        let mut name = real_path(database).into_os_string();
        name.push(".lock");
        OpenOptions::new().write(true).open(PathBuf::from(name)).is_ok_and(|file| file.try_lock().is_err())
    }
}

/// Whether a second server could come by another name, which has another lock beside it, and another log of
/// SQLite's. The file itself cannot be locked besides: closing it would drop the locks that SQLite has on it.
pub(super) fn has_other_names(database: &Path) -> bool {
    database.metadata().is_ok_and(|file| file.nlink() > 1)
}

/// Two names of one file are one lock, also where the file is still to be made.
pub(super) fn real_path(database: &Path) -> PathBuf {
    let in_folder = || {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(database.file_name()?))
    };
    database.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| database.to_owned())
}
