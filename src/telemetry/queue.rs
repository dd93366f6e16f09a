//! Log lines on their way to whoever reads them. A reader that reads no more, such as a full pipe, must hold up
//! no call: what does not fit any more is dropped and counted.
//!
//! `tracing-appender` has the like, but prints to standard output when it ends behind a reader that is stuck,
//! and so may never end.

use std::{
    io::{self, Write},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::Duration,
};

use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use crate::meters::{self, LeftOut};

/// A burst of some seconds at the least, and some megabytes at the most.
const LINES: usize = 8_192;
/// How often it is tried again to find room behind the lines that wait.
const AGAIN: Duration = Duration::from_millis(10);

/// Lines that one thread writes, in order.
#[derive(Debug, Clone)]
pub(super) struct Queue(SyncSender<Item>);

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Somebody waits until all that came before is written.
    Told(SyncSender<()>),
}

impl Queue {
    pub(super) fn before(mut writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, items) = sync_channel(LINES);
        let write = move || {
            for item in items {
                // Where nobody reads any more, there is nobody to tell either.
                let _ = match item {
                    Item::Line(line) => writer.write_all(&line),
                    Item::Told(told) => told.try_send(()).map_err(io::Error::other),
                };
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(Self(queue))
    }

    /// Waits until what was logged is written, and so long at most.
    pub(super) fn flush(&self, within: Duration) {
        let (told, written) = sync_channel(1);
        let until = Instant::now() + within;
        while self.0.try_send(Item::Told(told.clone())).is_err() {
            if Instant::now() >= until {
                return;
            }
            thread::sleep(AGAIN);
        }
        let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Write for Queue {
    /// Takes a whole line: that is how they come.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Item::Line(line.to_vec())).is_err() {
            meters::LOG_LEFT_OUT.count(LeftOut::Unread as usize);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Queue {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::{super::lines::Lines, *};

    /// Reads nothing until it is let.
    struct Stuck(std::sync::mpsc::Receiver<()>, Arc<AtomicUsize>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_before_the_end() {
        let lines = Lines::default();
        let mut queue = Queue::before(lines.clone()).expect("a thread");
        let written: String = (0..1_000).map(|at| format!("{at}\n")).collect();
        for at in 0..1_000 {
            writeln!(queue, "{at}").expect("taken");
        }
        queue.flush(Duration::from_secs(60));
        assert_eq!(lines.text(), written);
    }

    #[test]
    fn a_reader_that_reads_nothing_holds_up_nobody_and_costs_no_more_than_what_fits() {
        let (let_go, held) = sync_channel(0);
        let read = Arc::new(AtomicUsize::new(0));
        let mut queue = Queue::before(Stuck(held, Arc::clone(&read))).expect("a thread");
        for _ in 0..2 * LINES {
            queue.write_all(b"line\n").expect("taken");
        }
        queue.flush(Duration::from_millis(50)); // and ends
        drop(let_go); // it reads again
        let begun = Instant::now();
        while read.load(Ordering::SeqCst) < LINES {
            assert!(begun.elapsed() < Duration::from_secs(60), "what fitted is written");
            thread::sleep(AGAIN);
        }
        queue.flush(Duration::from_secs(60));
        assert!(read.load(Ordering::SeqCst) <= LINES + 1, "the rest was dropped");
    }
}
