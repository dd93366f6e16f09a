//! How an archive ends: its last lines are read and no more, however long it is.

use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, de::IgnoredAny};

/// Room for the longest item and what was begun behind it.
const TAIL: u64 = 128 * 1024;
/// As each line begins.
const BEGINS: [&[u8]; 2] = [b"{\"revocation\":", b"{\"bookmark\":"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Of its last item; empty where there is none.
    pub(super) token: String,
    /// How long it is without what was not written to its end.
    pub(super) whole: u64,
    /// How long that is.
    pub(super) cut: u64,
    /// The last item is there, without its line break.
    pub(super) unended: bool,
}

/// It is left as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoArchive {
    #[error(
        "{0}, so this is no archive of `portcullis key watch`, or a damaged one, and is not touched: name another file"
    )]
    Line(&'static str),
    #[error(transparent)]
    Read(#[from] io::Error),
}

#[derive(Deserialize)]
struct Line {
    revocation: Option<IgnoredAny>,
    bookmark: Option<IgnoredAny>,
    resume_token: String,
}

impl End {
    pub(super) fn of(mut file: impl Read + Seek) -> Result<Self, NoArchive> {
        let len = file.seek(SeekFrom::End(0))?;
        let from = file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        let begun = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = tail.split_at(begun);
        let end = Self { whole: len - rest.len() as u64, ..Self::default() };
        if let Some(token) = token(rest) {
            return Ok(Self { token, whole: len, unended: true, ..end });
        }
        if !may_become_an_item(rest) {
            return Err(NoArchive::Line("what stands behind its last line break is not the beginning of an item"));
        }
        let end = Self { cut: rest.len() as u64, ..end };
        match lines.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty()) {
            Some(line) => {
                let token = token(line).ok_or(NoArchive::Line("its last whole line is no item with a resume_token"))?;
                Ok(Self { token, ..end })
            }
            None if from == 0 => Ok(end),
            None => Err(NoArchive::Line("its end holds no line")),
        }
    }
}

fn token(line: &[u8]) -> Option<String> {
    let Line { revocation, bookmark, resume_token } = serde_json::from_slice(line).ok()?;
    let is_item = revocation.is_some() != bookmark.is_some() && !resume_token.is_empty();
    is_item.then_some(resume_token)
}

/// Where the power went, some file systems leave zeros.
fn may_become_an_item(rest: &[u8]) -> bool {
    let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    BEGINS.iter().any(|begin| text.starts_with(begin) || begin.starts_with(text))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const ONE: &str = "{\"revocation\":{\"revision\":\"4\"},\"resume_token\":\"one\"}\n";
    const TWO: &str = "{\"bookmark\":{\"revision\":\"5\"},\"resume_token\":\"two\"}\n";

    fn end(text: &str) -> Result<End, String> {
        End::of(Cursor::new(text)).map_err(|error| error.to_string())
    }

    fn whole(token: &str, whole: usize, cut: usize) -> Result<End, String> {
        Ok(End { token: token.to_owned(), whole: whole as u64, cut: cut as u64, unended: false })
    }

    #[test]
    fn wherever_its_last_line_was_cut_it_goes_on_behind_the_one_before() {
        let both = ONE.to_owned() + TWO;
        assert_eq!(end(""), whole("", 0, 0));
        assert_eq!(end(&both), whole("two", both.len(), 0));
        assert_eq!(end(&(both.clone() + "\n \n")), whole("two", both.len() + 3, 0));
        for cut in 1..TWO.len() - 1 {
            assert_eq!(end(&(ONE.to_owned() + &TWO[..cut])), whole("one", ONE.len(), cut), "{cut}");
            assert_eq!(end(&TWO[..cut]), whole("", 0, cut), "{cut}");
        }
        let unended = End { token: "two".to_owned(), whole: both.len() as u64 - 1, cut: 0, unended: true };
        assert_eq!(end(both.trim_end()), Ok(unended));
        assert_eq!(end(&(both.clone() + "\0\0\0")), whole("two", both.len(), 3));
        assert_eq!(end(&(both.clone() + "{\"book\0\0")), whole("two", both.len(), 8));
        let long = ONE.repeat(10_000);
        assert_eq!(end(&(long.clone() + TWO + "{")), whole("two", long.len() + TWO.len(), 1));
    }

    #[test]
    #[cfg(feature = "server")]
    fn there_is_room_for_the_longest_line_that_a_restore_takes_and_for_half_of_another() {
        assert_eq!(TAIL, 2 * crate::recovery::LONGEST);
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for text in [
            "{\"type\": \"service_account\"}",
            "some text",
            "some text\n",
            "{\"type\": \"service_account\"}\n",
            &(ONE.to_owned() + "{\"revocation\":{\"rev{\"bookmark\":{},\"resume_token\":\"x\"}\n"),
            &(ONE.to_owned() + "and more"),
            "{\"bookmark\":{},\"resume_token\":\"\"}\n",
            &"\n".repeat(200_000),
            &"{\"bookmark\":".repeat(20_000),
        ] {
            assert!(end(text).expect_err("refused").contains("is not touched"), "{}", text.len());
        }
    }
}
