use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use super::OpenError;

/// Keeps a second process off an SQLite file. SQLite itself would let it in, and its
/// index would answer by what it loaded. Held until dropped; the kernel lets go of it
/// when the process dies.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let io = |error| OpenError::Io { path: path.display().to_string(), error };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::InUse { path: database.display().to_string(), lock: path.display().to_string() })
            }
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}
