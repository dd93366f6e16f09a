//! Files that their owner alone should read.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use zeroize::Zeroizing;

/// Ours are 2 to 4 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// Its text; none where it is larger than 64 KiB. Warns in the log when others can read it too.
pub(super) fn read(path: &Path, what: &str) -> io::Result<Option<Zeroizing<String>>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() && meta.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read this {what}: chmod 600 it");
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    Ok((read as u64 <= MAX_FILE).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        assert!(read(Path::new("/dev/zero"), "file").expect("it reads").is_none());
    }
}
