//! An archive's lines, one after the other: a year of them is larger than memory.

use std::io::{self, BufRead, Read as _};

/// No item is nearly as long.
pub(crate) const LONGEST: u64 = 64 * 1024;

/// Why a file is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveRefused {
    #[error("line {line}: {why}; an archive is what `portcullis key watch --archive FILE` keeps, a JSON object a line")]
    Line { line: u64, why: String },
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

/// One line of it.
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) text: &'a [u8],
    /// It has its line break, so it was written as a whole.
    pub(super) ended: bool,
}

/// Those that are not blank.
pub(super) struct Lines<R> {
    from: R,
    text: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(from: R) -> Self {
        Self { from, text: Vec::new(), number: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ArchiveRefused> {
        loop {
            self.text.clear();
            if self.from.by_ref().take(LONGEST).read_until(b'\n', &mut self.text)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let ended = self.text.ends_with(b"\n");
            if !ended && self.text.len() as u64 == LONGEST {
                let why = format!("it is longer than {LONGEST} bytes, and no item is");
                return Err(ArchiveRefused::Line { line: self.number, why });
            }
            if !self.text.trim_ascii().is_empty() {
                break;
            }
        }
        let ended = self.text.ends_with(b"\n");
        Ok(Some(Line { number: self.number, text: self.text.trim_ascii(), ended }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_as_an_editor_does_and_one_without_an_end_is_refused() {
        let mut lines = Lines::of(&b"one\r\n\n  \ntwo"[..]);
        let mut read = Vec::new();
        while let Some(line) = lines.next().expect("it reads") {
            read.push((line.number, line.text.to_vec(), line.ended));
        }
        assert_eq!(read, [(1, b"one".to_vec(), true), (4, b"two".to_vec(), false)]);
        let mut endless = Lines::of(io::BufReader::new(b"first\n".chain(io::repeat(b'x'))));
        endless.next().expect("the first").expect("a line");
        let refused = endless.next().err().expect("refused").to_string();
        assert!(refused.starts_with("line 2: it is longer than 65536 bytes"), "{refused}");
    }
}
