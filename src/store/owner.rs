//! What root makes beside a database belongs to whom the database belongs to, as SQLite has it with its logs: the
//! server's user has to write it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
};

/// Makes a file that is not there yet, readable by its owner only: the database's, or its folder's where there is none
/// yet. Only root can give it away; anybody else keeps it. Never what stood there: it may be a link that somebody put
/// there for root to give away what it points to.
pub(super) fn create_for(database: &Path, path: &Path) -> io::Result<File> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whose = fs::metadata(database).or_else(|_| fs::metadata(folder))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if whose.uid() != file.metadata()?.uid() {
        let _ = fchown(&file, Some(whose.uid()), Some(whose.gid()));
    }
    Ok(file)
}
