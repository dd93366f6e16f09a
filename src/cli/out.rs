use std::io::{self, Write};

use super::{clean::clean, failure::Failure};

/// Says something about what is on standard output, on standard error.
#[cfg(any(feature = "client", feature = "server"))]
pub(super) fn note(text: &str) {
    // Where it is closed, nobody wants to know.
    let _ = writeln!(io::stderr(), "{}", clean(text));
}

/// Standard output.
pub(super) struct Out(Box<dyn Write + Send>);

impl Out {
    pub(super) fn stdout() -> Self {
        Self(Box::new(io::stdout()))
    }

    /// Writes one line (or several) and flushes, so that the reader of a stream sees each
    /// message as it comes.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.0, "{text}").and_then(|()| self.0.flush()).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Failed(format!("cannot write to standard output: {e}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        assert!(matches!(Out(Box::new(Closed)).line("x"), Err(Failure::ReaderGone)));
    }
}
