//! A panic is a line of the log like any other: of one line, in the form that was asked for, counted, sent to the
//! collector, and written by the thread that writes them.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic, thread,
    time::Duration,
};

use super::queue::Queue;

const TARGET: &str = "portcullis::panic";
/// How long it waits to be written: a panic that aborts ends the thread that writes, too. And no longer, where nobody
/// reads the log.
const WRITTEN: Duration = Duration::from_secs(1);

/// From now on. Where no log has the line, the panic is told as it is without this.
pub(super) fn log_panics(log: Queue) {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            return otherwise(what);
        }
        let thread = thread::current();
        let (name, at) = (thread.name().unwrap_or("unnamed"), what.location().map(ToString::to_string));
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        // A field, since a message may have more than one line.
        let said = what.payload_as_str().unwrap_or_default();
        tracing::error!(target: TARGET, thread = name, at, said, trace, "panicked, which is a defect of this program");
        log.flush(WRITTEN);
    }));
}
