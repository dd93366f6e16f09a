use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use zeroize::Zeroizing;

use super::Why;
use crate::client::private_file;

pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, Why> {
    private_file::read(path, "credentials file").map_err(Why::Read)?.ok_or(Why::TooLarge)
}

/// Makes a file of mode 0600, which it has before it holds anything.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), Why> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| if e.kind() == io::ErrorKind::AlreadyExists { Why::Exists } else { Why::Write(e) })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path)).map_err(|e| {
        // The error that is told is the first one.
        let _ = fs::remove_file(path);
        Why::Write(e)
    })
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_the_owners_alone_and_an_old_one_stays() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("admin.json");
        write_new(&path, "first").expect("write");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(write_new(&path, "second"), Err(Why::Exists)));
        assert_eq!(read(&path).expect("read").as_str(), "first");
    }
}
