//! What the operating system says of this process. Where it says nothing of a kind, nothing is told.

use std::{borrow::Cow, fs};

use rustix::time::{ClockId, clock_gettime};

use super::reading::{About, Kind, Point, Reading, Value};

pub(super) fn read() -> impl Iterator<Item = Reading> {
    let cpu =
        About { kind: Kind::Counter, ..About::gauge("process.cpu.time", "s", "CPU time that the process has used") };
    let memory = About::gauge("process.memory.usage", "By", "Memory of the process that is resident");
    let files =
        About::gauge("process.unix.file_descriptor.count", "{file_descriptor}", "File descriptors that are open");
    let build = About::gauge("portcullis.build_info", "{build}", "1, of the version that runs");
    let version = vec![("version", Cow::Borrowed(env!("CARGO_PKG_VERSION")))];
    let known = [(cpu, cpu_seconds()), (memory, resident_bytes()), (files, open_files())];
    let point = |number| Point { labels: Vec::new(), value: Value::Number(number) };
    let known = known.into_iter().map(move |(about, number)| about.reading(number.map(point).into_iter().collect()));
    known.chain([build.reading(vec![Point { labels: version, value: Value::Number(1.0) }])])
}

#[expect(clippy::cast_precision_loss, reason = "seconds that a process lives")]
fn cpu_seconds() -> Option<f64> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// `VmRSS:` and kibibytes.
fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "a process has never so many")]
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64) // without the one that looks
}
