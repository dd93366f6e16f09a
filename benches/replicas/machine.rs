//! On what, and beside how much else.

use std::fs;

pub(crate) fn describe(memory: bool) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) { "debug build, whose times say nothing" } else { "release build" };
    let place = if memory { "in memory" } else { "on disk" };
    format!("{cpus} CPUs for servers, database and callers together; {build}; the database's data {place}; {}", load())
}

/// How many processes of all wanted a CPU, on average over a minute.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load {}", load.split(' ').next().unwrap_or("unknown"))
}

/// Of a process, in MiB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    kib / 1024.0
}
