//! A file of all that was told, one item a line, which each run goes on with. What is behind its last line break was
//! not written to its end, and is told again.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::tail::{End, NoArchive};
use crate::{
    cli::{failure::Failure, out::note},
    pb::{Bookmark, WatchRevocationsResponse, watch_revocations_response::Item},
};

/// One that is open has its lock: two watchers would write into each other's lines.
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    /// Behind its last line.
    end: u64,
    /// Up to here it is on the disk.
    synced: u64,
}

impl Archive {
    /// And the token of its last item; an empty one where there is none.
    pub(super) fn open(path: PathBuf) -> Result<(Self, String), Failure> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let io = |error: io::Error| Failure::Failed(named(&error));
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(Failure::Usage(named(&"an archive is a file, which can be read again")));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "another `portcullis key watch --archive` keeps this file; stop that one first, or name another file";
                return Err(Failure::Failed(named(&why)));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let end = End::of(&file).map_err(|error| match error {
            NoArchive::Read(error) => io(error),
            NoArchive::Line(_) => Failure::Usage(named(&error)),
        })?;
        mend(&file, &end).and_then(|()| sync_folder(&path)).map_err(io)?;
        if end.cut > 0 {
            let why = format!(
                "its last line was not written to its end: {} bytes are cut off, and that item is told again",
                end.cut
            );
            note(&named(&why));
        }
        if end.token.is_empty() {
            note(&named(&"it is empty, and begins with what is told from now on"));
        }
        let len = file.metadata().map_err(io)?.len();
        Ok((Self { path, file, end: len, synced: len }, end.token))
    }

    pub(super) fn put(&mut self, item: &WatchRevocationsResponse, json: &str) -> Result<(), Failure> {
        let bookmark = match &item.item {
            Some(Item::Bookmark(bookmark)) => Some(bookmark),
            _ => None,
        };
        if let Some(Bookmark { all_applications: false, .. }) = bookmark {
            return Err(Failure::Failed(
                "this account does not see every application, so after a restore its archive would answer for none: give the \
                 account all of them, `portcullis account update ACCOUNT --all-apps`"
                    .to_owned(),
            ));
        }
        let line = format!("{json}\n");
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            return Err(self.broken_off(self.end, &error));
        }
        self.end += line.len() as u64;
        if bookmark.is_some() { self.sync() } else { Ok(()) }
    }

    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        if let Err(error) = self.file.sync_data() {
            // Nobody knows what of it is there: it is told again.
            return Err(self.broken_off(self.synced, &error));
        }
        self.synced = self.end;
        Ok(())
    }

    /// Leaves no half line, where the disk lets it.
    fn broken_off(&self, keep: u64, error: &io::Error) -> Failure {
        let cut = self.file.metadata().and_then(|now| self.file.set_len(keep.min(now.len())));
        let end = match cut.and_then(|()| self.file.sync_all()) {
            Ok(()) => "it ends with a whole line".to_owned(),
            Err(error) => format!("its end may be half a line ({error})"),
        };
        Failure::Failed(format!(
            "{}: cannot be written: {error}; {end}, and when there is room again the same command goes on behind it: nothing is \
             missed before --history of the server is over",
            self.path.display()
        ))
    }

    /// What to do where the server has nothing that is behind it.
    pub(super) fn ends_here(&self) -> String {
        format!(
            "{} ends here: keep it for the backups of before, begin another one, and take a backup at once: what was told \
             between the two is in neither",
            self.path.display()
        )
    }
}

/// Lets it end with a whole line.
fn mend(mut file: &File, end: &End) -> io::Result<()> {
    if end.cut > 0 {
        file.set_len(end.whole)?;
    }
    if end.unended {
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
