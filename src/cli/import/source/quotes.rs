use std::io::{self, Read};

/// Passes on what it reads, and ends where a quote is not as RFC 4180 §2 has it. Whoever reads the cells takes
/// them for what they seem: behind a quote that is never closed all rows would be the text of one cell, without
/// a word.
pub(super) struct Quotes<R> {
    from: R,
    at: Place,
    line: u64,
    /// The line of the quote that was opened last.
    opened: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    CellBegins,
    Plain,
    Quoted,
    /// It closes the cell, unless another one follows.
    QuoteInQuoted,
}

impl<R> Quotes<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, at: Place::CellBegins, line: 1, opened: 1 }
    }

    fn pass(&mut self, byte: u8) -> Result<(), String> {
        self.at = match (self.at, byte) {
            (Place::Quoted, b'"') => Place::QuoteInQuoted,
            (Place::Quoted, _) | (Place::QuoteInQuoted, b'"') => Place::Quoted,
            (_, b',' | b'\n') => Place::CellBegins,
            (Place::QuoteInQuoted, b'\r') => Place::QuoteInQuoted,
            (Place::QuoteInQuoted, _) => {
                return Err(format!(
                    "line {}: text stands behind a quote that closes the cell begun in line {}; a quote inside a cell is written twice",
                    self.line, self.opened
                ));
            }
            (Place::CellBegins, b'"') => {
                self.opened = self.line;
                Place::Quoted
            }
            (Place::CellBegins | Place::Plain, _) => Place::Plain,
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        if read == 0 && !to.is_empty() && self.at == Place::Quoted {
            return Err(io::Error::other(format!("line {}: a quote is opened and never closed", self.opened)));
        }
        for byte in &to[..read] {
            self.pass(*byte).map_err(io::Error::other)?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str) -> Option<String> {
        let read = Quotes::new(text.as_bytes()).read_to_end(&mut Vec::new());
        read.err().map(|error| error.to_string())
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_by_the_line_where_it_stands() {
        let never = |line| Some(format!("line {line}: a quote is opened and never closed"));
        assert_eq!(fault("a,b\n1,\"x\n2,y\n"), never(2));
        assert_eq!(fault("\"a\n\",b\n\"\"\"\n"), never(3), "lines inside a cell are counted");
        assert_eq!(fault("a\n\"cut"), never(2));
    }

    #[test]
    fn what_swallowed_rows_until_the_next_quote_is_told() {
        let told = fault("a,b\n1,\"x\n2,\"y\"\n").expect("a fault");
        assert!(told.starts_with("line 3: text stands behind a quote"), "{told}");
    }

    #[test]
    fn what_the_rules_allow_is_let_through() {
        for text in ["", "\"", "a,\"b\"\r\n", "\"\"\n", "\"a \"\"b\"\" c\",d", "5\" pipe,x\n", "\"a\r\nb\",\"\"\r\n"] {
            assert_eq!(fault(text).is_some(), text == "\"", "{text:?}");
        }
    }

    proptest! {
        /// Nothing that a well-kept writer writes is refused.
        #[test]
        fn every_table_that_is_written_by_the_rules_passes(cells in prop::collection::vec("[a\",\r\n ]{0,6}", 1..20)) {
            let mut writer = ::csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in cells.chunks(3) {
                writer.write_record(row).expect("written");
            }
            let text = String::from_utf8(writer.into_inner().expect("bytes")).expect("UTF-8");
            prop_assert_eq!(fault(&text), None);
        }
    }
}
