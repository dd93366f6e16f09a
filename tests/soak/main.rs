//! What takes longer than a run of every day may: run by `tests/full.d`.

#[allow(dead_code, unused_imports, reason = "the harness of tests/it, of which this needs a part")]
#[path = "../it/harness/mod.rs"]
mod harness;
mod keep_alive;
mod stalled;
