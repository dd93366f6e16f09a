use std::io::{self, IsTerminal as _, Write as _};

use tokio::time::Instant;

/// How far it is, on a terminal that somebody watches.
pub(super) struct Progress {
    begun: Instant,
    told: bool,
    of: u64,
}

impl Progress {
    pub(super) fn new(of: u64) -> Self {
        Self { begun: Instant::now(), told: false, of }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    pub(super) fn tell(&mut self, done: u64) {
        if !io::stderr().is_terminal() {
            return;
        }
        let a_second = done / self.begun.elapsed().as_secs().max(1);
        // Where standard error is closed, nobody watches.
        let _ = write!(io::stderr(), "\r\x1b[K{done} of {} keys, {a_second} a second", self.of);
        self.told = true;
    }

    pub(super) fn clear(&self) {
        if self.told {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
