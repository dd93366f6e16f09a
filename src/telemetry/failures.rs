//! What is not sent: counted, and told of without repeating itself.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use tokio::time::Instant;

use crate::meters::{self, Signal};

/// How often a collector that stays away is mentioned.
const REMIND: Duration = Duration::from_secs(300);

/// Failures of the exports of one kind, told without repeating itself.
#[derive(Debug)]
pub(super) struct Failures {
    signal: Signal,
    /// When the failures that go on were last mentioned.
    mentioned: Mutex<Option<Instant>>,
    lost: AtomicU64,
}

impl Failures {
    pub(super) fn new(signal: Signal) -> Self {
        Self { signal, mentioned: Mutex::new(None), lost: AtomicU64::new(0) }
    }

    pub(super) fn note(&self, result: &OTelSdkResult, items: u64) {
        let what = match self.signal {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        };
        let mut mentioned = self.mentioned.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Err(e) => {
                meters::NOT_SENT.add(self.signal as usize, items);
                let lost = self.lost.fetch_add(items, Relaxed) + items;
                if mentioned.is_none_or(|at| at.elapsed() >= REMIND) {
                    *mentioned = Some(Instant::now());
                    tracing::warn!(error = %e, lost, "{what} cannot be exported ({lost} lost), calls go on: {e}");
                }
            }
            Ok(()) if mentioned.take().is_some() => {
                meters::NOT_SENT.add(self.signal as usize, items);
                let lost = self.lost.swap(0, Relaxed);
                tracing::info!(lost, "{what} are exported again; {lost} were lost");
            }
            Ok(()) => {}
        }
    }
}

/// Room for what waits to be sent. Who finds none is dropped, counted, and told of with the next
/// failure or its end: what is full is a collector that does not keep up.
#[derive(Debug)]
pub(super) struct Room {
    signal: Signal,
    most: usize,
    waiting: AtomicUsize,
}

impl Room {
    pub(super) fn new(signal: Signal, most: usize) -> Self {
        Self { signal, most, waiting: AtomicUsize::new(0) }
    }

    /// Whether there is a place for one more. Never waits.
    pub(super) fn enter(&self) -> bool {
        let entered =
            self.waiting.fetch_update(Relaxed, Relaxed, |waiting| (waiting < self.most).then_some(waiting + 1));
        if entered.is_err() {
            meters::NOT_SENT.count(self.signal as usize);
        }
        entered.is_ok()
    }

    /// So many are on their way.
    pub(super) fn leave(&self, many: usize) {
        let _ = self.waiting.fetch_update(Relaxed, Relaxed, |waiting| Some(waiting.saturating_sub(many)));
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;
    use crate::telemetry::lines::Lines;

    #[test]
    fn failures_are_mentioned_once_and_their_end_with_what_was_lost() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone());
        let failures = Failures::new(Signal::Traces);
        let failed = || Err(OTelSdkError::InternalFailure("collector away".to_owned()));
        tracing::subscriber::with_default(subscriber.finish(), || {
            for result in [Ok(()), failed(), failed(), failed(), Ok(()), Ok(()), failed()] {
                failures.note(&result, 512);
            }
        });
        let text = lines.text();
        let [first, second, third] = text.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {text}") };
        assert!(first.contains("WARN") && first.contains("(512 lost)") && first.contains("collector away"), "{first}");
        assert!(second.contains("INFO") && second.contains("1536 were lost"), "{second}");
        assert!(third.contains("WARN") && third.contains("(512 lost)"), "{third}");
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_what_has_left_makes_some() {
        let room = Room::new(Signal::Traces, 2);
        assert_eq!([room.enter(), room.enter(), room.enter()], [true, true, false]);
        room.leave(1);
        assert_eq!([room.enter(), room.enter()], [true, false]);
        room.leave(5);
        assert!(room.enter(), "never less than nothing waits");
    }
}
