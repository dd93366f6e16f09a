//! How far long work is: on standard error, when that is a terminal, and gone when it is done.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What is done sooner is not worth a word.
const SOON: Duration = Duration::from_millis(700);
const TICK: Duration = Duration::from_millis(120);

/// Cleared when it is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Progress(ProgressBar);

impl Progress {
    /// A bar, of work whose length will be known.
    pub(in crate::cli) fn bar(of: &str) -> Self {
        Self::with(ProgressBar::new(0), "{wide_bar} {human_pos} of {human_len} {msg}", of)
    }

    /// A count, of work whose length is not known.
    pub(in crate::cli) fn count(of: &str) -> Self {
        Self::with(ProgressBar::new_spinner(), "{spinner} {human_pos} {msg}", of)
    }

    fn with(bar: ProgressBar, template: &str, of: &str) -> Self {
        // A template that does not parse is a defect of this file; the default one serves as well.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar.with_message(of.to_owned()))
    }

    pub(in crate::cli) fn at(&self, done: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.0.set_length(of);
        }
        self.0.set_position(done);
    }

    /// Says what is waited for, when it takes a while.
    pub(in crate::cli) async fn waiting<T>(for_what: &str, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(SOON) => {}
        }
        let spinner = Self::with(ProgressBar::new_spinner(), "{spinner} {msg}", for_what);
        spinner.0.enable_steady_tick(TICK);
        work.await
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
