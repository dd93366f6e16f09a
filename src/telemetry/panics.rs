//! A panic is a line of the log like any other: in the form that was asked for, counted, sent to the collector, and
//! written by the thread that writes them. So whoever panics waits for no reader.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic, thread,
};

const TARGET: &str = "portcullis::panic";

/// From now on. Where no log has the line, the panic is told as it is without this.
pub(super) fn log_panics() {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if !tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            return otherwise(what);
        }
        let thread = thread::current();
        let (name, at) = (thread.name().unwrap_or("unnamed"), what.location().map(ToString::to_string));
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        let message = what.payload_as_str().unwrap_or("it says nothing");
        tracing::error!(target: TARGET, thread = name, at, trace, "panicked, which is a defect of this program: {message}");
    }));
}
