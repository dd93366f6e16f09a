//! The head number beside the file: a database that was copied back by hand is behind it.
//!
//! It is written before a mutation is acknowledged, and only once that is committed: so whatever crashes,
//! it is never ahead of the database that it belongs to, and never behind what somebody was told.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use uuid::Uuid;

use super::{lock::real_path, owner::create_for};
use crate::domain::{id::Revision, time::Timestamp};

/// `DATABASE.head`.
#[derive(Debug)]
pub(super) struct Beside {
    database: PathBuf,
    path: PathBuf,
    /// What is noted, of which history; none while it is not this one's.
    follows: Mutex<Option<Arc<Follows>>>,
}

#[derive(Debug)]
struct Follows {
    log_id: Uuid,
    noted: AtomicI64,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    file: File,
    /// Which of the places is written next.
    turn: u64,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) log_id: Uuid,
    pub(super) revision: Revision,
}

/// Where the history goes on since a restore. What was written before `time` and has a number behind `holds` is of a
/// branch that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    pub holds: Revision,
    /// When it was found to be restored.
    pub time: Timestamp,
}

const NAME: &str = "portcullis-head";
/// Behind the two places, one for each restore that is to be told from others, written once. A version that does not
/// know them passes over them, and takes them away when it writes the file anew.
const FORK: &str = "portcullis-fork";
const VERSION: &str = "1";
/// Two places, written by turns, each of one sector: a write that the power cuts off spoils one of them.
const SLOT: usize = 512;
const SLOTS: usize = 2;

impl Beside {
    pub(super) fn of(database: &Path) -> Self {
        let database = real_path(database);
        let mut name = database.clone().into_os_string();
        name.push(".head");
        Self { database, path: PathBuf::from(name), follows: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// None where there is no such file; one that does not read is an error of the kind `InvalidData`.
    pub(super) fn read(&self) -> io::Result<Option<Noted>> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        let best = bytes.chunks(SLOT).take(SLOTS).filter_map(read_slot).max_by_key(|noted| noted.revision);
        best.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Those of this history.
    pub(super) fn forks(&self, log_id: Uuid) -> io::Result<Vec<Fork>> {
        let bytes = self.bytes()?.unwrap_or_default();
        let all = bytes.chunks(SLOT).skip(SLOTS).filter_map(|bytes| words(bytes, FORK));
        let own = all.filter(|(of, _)| *of == log_id);
        Ok(own
            .map(|(_, [holds, time])| Fork { holds: Revision::new(holds), time: Timestamp::from_micros(time) })
            .collect())
    }

    fn bytes(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Puts it there anew, for the history that it belongs to from now on.
    pub(super) fn write(&self, noted: Noted, forks: &[Fork]) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {} // one that was cut off
        }
        let mut file = create_for(&self.database, &new)?;
        file.write_all(&slot(noted).repeat(SLOTS))?;
        for Fork { holds, time } in forks {
            file.write_all(&filled(FORK, noted.log_id, [holds.number(), time.micros()]))?;
        }
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        let follows = Follows {
            log_id: noted.log_id,
            noted: AtomicI64::new(noted.revision.number()),
            place: Mutex::new(Place { file, turn: 0 }),
        };
        *self.follows.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(follows));
        Ok(())
    }

    /// What is to be written, if this is more than what stands there.
    pub(super) fn behind(&self, revision: Revision) -> Option<impl FnOnce() -> io::Result<()> + Send + 'static> {
        let follows = self.follows.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (follows.noted.load(Ordering::Acquire) < revision.number()).then_some(move || follows.note(revision))
    }
}

impl Fork {
    /// Those that are known, and this one behind them. One by which nothing is told that another of them does not tell
    /// goes. None goes for this one: until its restore is confirmed, they are asked of the archives that are given.
    pub(super) fn and(self, known: &[Self]) -> Vec<Self> {
        let before: Vec<_> = known.iter().filter(|fork| **fork != self).copied().collect();
        let tells_more = |fork: &Self| {
            let mut others = before.iter().filter(|other| *other != fork);
            !others.any(|other| other.holds <= fork.holds && fork.time <= other.time)
        };
        before.iter().copied().filter(tells_more).chain([self]).collect()
    }
}

impl Follows {
    fn note(&self, revision: Revision) -> io::Result<()> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if self.noted.load(Ordering::Acquire) >= revision.number() {
            return Ok(());
        }
        let at = place.turn * SLOT as u64;
        place.file.write_all_at(&slot(Noted { log_id: self.log_id, revision }), at)?;
        place.file.sync_data()?;
        // What was noted last stays where it is, for as long as the next one is on its way.
        place.turn = (place.turn + 1) % SLOTS as u64;
        self.noted.store(revision.number(), Ordering::Release);
        Ok(())
    }
}

fn slot(Noted { log_id, revision }: Noted) -> Vec<u8> {
    filled(NAME, log_id, [revision.number()])
}

fn read_slot(bytes: &[u8]) -> Option<Noted> {
    words(bytes, NAME).map(|(log_id, [revision])| Noted { log_id, revision: Revision::new(revision) })
}

/// `NAME VERSION history numbers checksum`, filled up with spaces.
fn filled<const N: usize>(name: &str, log_id: Uuid, numbers: [i64; N]) -> Vec<u8> {
    let numbers = numbers.map(|number| number.to_string()).join(" ");
    let text = format!("{name} {VERSION} {log_id} {numbers}");
    let line = format!("{text} {:08x}", crc32fast::hash(text.as_bytes()));
    format!("{line:<width$}\n", width = SLOT - 1).into_bytes()
}

fn words<const N: usize>(bytes: &[u8], name: &str) -> Option<(Uuid, [i64; N])> {
    let (text, checksum) = std::str::from_utf8(bytes).ok()?.trim_end().rsplit_once(' ')?;
    let mut words = text.split(' ');
    if (words.next(), words.next()) != (Some(name), Some(VERSION)) {
        return None;
    }
    let log_id = words.next()?.parse().ok()?;
    let numbers: Vec<i64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let whole = checksum == format!("{:08x}", crc32fast::hash(text.as_bytes()));
    numbers.try_into().ok().filter(|_| whole).map(|numbers| (log_id, numbers))
}

pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(revision: i64) -> Noted {
        Noted { log_id: Uuid::from_u128(7), revision: Revision::new(revision) }
    }

    fn note(beside: &Beside, revision: i64) {
        beside.behind(Revision::new(revision)).expect("it is more")().expect("written");
    }

    #[test]
    fn it_rises_and_never_falls_and_outlives_a_write_that_was_cut_off() {
        let folder = tempfile::tempdir().expect("folder");
        let beside = Beside::of(&folder.path().join("a.db"));
        assert_eq!(beside.read().expect("none"), None);
        assert!(beside.behind(Revision::new(9)).is_none(), "nothing follows yet");
        beside.write(noted(3), &[]).expect("written");
        assert_eq!(beside.read().expect("there"), Some(noted(3)));
        assert!(beside.behind(Revision::new(3)).is_none() && beside.behind(Revision::new(2)).is_none());
        note(&beside, 4);
        note(&beside, 10);
        assert_eq!(beside.read().expect("there"), Some(noted(10)));
        assert_eq!(fs::read(beside.path()).expect("bytes").len(), SLOTS * SLOT);

        // Each place in turn is spoiled by the write that is cut off, and the other one says what was before.
        for (place, left) in [(1, 4), (0, 10)] {
            let mut bytes = fs::read(beside.path()).expect("bytes");
            bytes[place * SLOT + 60] ^= 1;
            fs::write(beside.path(), &bytes).expect("spoilt");
            assert_eq!(beside.read().expect("there"), Some(noted(left)), "{place}");
            bytes[place * SLOT + 60] ^= 1;
            fs::write(beside.path(), &bytes).expect("mended");
        }
        fs::write(beside.path(), b"something else").expect("spoilt");
        assert_eq!(beside.read().expect_err("damaged").kind(), io::ErrorKind::InvalidData);
    }

    fn fork(holds: i64, seconds: i64) -> Fork {
        Fork { holds: Revision::new(holds), time: Timestamp::from_seconds(seconds) }
    }

    #[test]
    fn where_the_history_forked_stays_beside_the_number_that_rises() {
        let folder = tempfile::tempdir().expect("folder");
        let beside = Beside::of(&folder.path().join("a.db"));
        let known = |of: u128| beside.forks(Uuid::from_u128(of)).expect("it reads");
        assert_eq!(known(7), [], "no file");
        beside.write(noted(3), &[]).expect("written");
        assert_eq!(known(7), []);
        let forks = [fork(2, 100), fork(3, 200)];
        beside.write(noted(3), &forks).expect("written");
        for revision in 4..8 {
            note(&beside, revision);
            assert_eq!((known(7), known(8)), (forks.to_vec(), Vec::new()));
        }
        assert_eq!(beside.read().expect("there"), Some(noted(7)));
    }

    #[test]
    fn a_restore_that_is_noted_again_hides_none_from_before_it() {
        let (early, late) = (fork(20, 100), fork(40, 200));
        assert_eq!(early.and(&[]), [early]);
        assert_eq!(late.and(&[early]), [early, late]);
        let now = fork(5, 300);
        let noted = now.and(&[early, late]);
        assert_eq!(noted, [early, late, now]);
        assert_eq!(now.and(&noted), noted, "it was cut off, and is repeated");
        assert_eq!(fork(6, 400).and(&noted), [now, fork(6, 400)], "what came before it, that one tells");
    }
}
