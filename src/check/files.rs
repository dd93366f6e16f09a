use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::Finding;
use crate::domain::time::Timestamp;

/// Before its end, so that somebody can do something.
const SOON: i64 = 14 * 24 * 3600;

/// A file that its owner alone should read. None where it cannot be read: whoever needs what is in it says so.
#[must_use]
pub fn private_file(of: &'static str, path: &Path) -> Option<Finding> {
    let name = path.display();
    let data = fs::File::open(path).and_then(|file| file.metadata()).ok().filter(|data| !data.is_dir())?;
    let mode = data.permissions().mode() & 0o777;
    Some(if !data.is_file() {
        Finding::fail(of, format!("{name} is no file"), "name a file")
    } else if mode & 0o077 != 0 {
        Finding::warn(of, format!("others may read {name}: its mode is {mode:04o}"), format!("chmod 600 {name}"))
    } else {
        Finding::ok(of, format!("{name} is readable by its owner only"))
    })
}

/// A certificate that a server would show.
#[must_use]
pub fn certificate(end_time: Timestamp, now: Timestamp) -> Finding {
    const OF: &str = "certificate";
    let left = end_time.seconds().saturating_sub(now.seconds());
    if left < SOON {
        let said = format!("it ends in {} days, at {end_time}", left / 86_400);
        Finding::warn(OF, said, "renew it, and put the new one in its place")
    } else {
        Finding::ok(OF, format!("it and its key are one, and it is good until {end_time}"))
    }
}
