use std::io::BufRead;

use uuid::Uuid;

use super::{
    item::{Bookmark, Item},
    lines::{ArchiveRefused, Lines},
};
use crate::domain::{
    event::Position,
    id::{ApplicationId, KeyId, Revision},
    token::ResumeToken,
};

/// What watchers were told, as `portcullis key watch --archive FILE` keeps it: a JSON object a line.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// Of which history; none of an empty one.
    pub(super) log_id: Option<Uuid>,
    pub(super) parts: Vec<Part>,
    /// The number of its last line, where that one was not written to its end, and is left out.
    pub cut: Option<u64>,
    /// A revocation that is not the last one of its event, by what its token says.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    line: u64,
    revision: Revision,
    token: Revision,
}

/// What stands there without a hole: all that was told after one revision, up to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) after: Revision,
    pub(super) last: Revision,
    pub(super) told: Vec<Told>,
    /// Which events stood at the revisions that it names, in their order, each once: there is a bookmark each second.
    pub(super) places: Vec<Position>,
}

/// One item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) revision: Revision,
    pub(super) application: ApplicationId,
    /// None: all of the application.
    pub(super) key: Option<KeyId>,
    pub(super) what: What,
}

/// What is to be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// It was good for less than before, and nobody knows for what: it is good for nothing until somebody has looked.
    Narrowed,
    Revoked,
}

impl Archive {
    /// Line by line, however long it is: what stays is a few words for each revocation.
    pub fn read(from: impl BufRead) -> Result<Self, ArchiveRefused> {
        let mut archive = Self::default();
        let mut lines = Lines::of(from);
        while let Some(line) = lines.next()? {
            match serde_json::from_slice(line.text) {
                Ok(item) => archive.take(line.number, item)?,
                // Nobody was told that it is there: the writer goes on behind what was whole.
                Err(_) if !line.ended => archive.cut = Some(line.number),
                Err(error) => return Err(ArchiveRefused::Line { line: line.number, why: error.to_string() }),
            }
        }
        Ok(archive)
    }

    fn take(&mut self, line: u64, item: Item) -> Result<(), ArchiveRefused> {
        let open = self.open.take();
        let (next, begins) = self.part(line, item).map_err(|why| ArchiveRefused::Line { line, why })?;
        // The rest of its event comes behind it, or all of that anew; else its revision is a wrong one.
        if let Some(Open { line, revision, token }) = open.filter(|open| !begins && open.revision != next.after) {
            return must_be_of(revision, token, false).map_err(|why| ArchiveRefused::Line { line, why });
        }
        self.goes_on(next, begins);
        Ok(())
    }

    /// What stands in this line alone, and whether a watch begins with it.
    fn part(&mut self, line: u64, item: Item) -> Result<(Part, bool), String> {
        let token = ResumeToken::read(&item.resume_token).ok_or("it has no resume_token that reads")?;
        if *self.log_id.get_or_insert(token.log_id) != token.log_id {
            return Err("it is of another history than the lines before".to_owned());
        }
        if !token.names_no_application() {
            return Err("it is of a watch of some applications: one without application_ids is wanted".to_owned());
        }
        let (up_to, places) = (token.position.revision, vec![token.position]);
        match (item.revocation, item.bookmark) {
            (Some(revocation), None) => {
                let told = revocation.read()?;
                must_be_of(told.revision, up_to, told.revision >= up_to)?;
                if up_to < told.revision {
                    self.open = Some(Open { line, revision: told.revision, token: up_to });
                }
                // What came before it may have been cut off, and be of another branch.
                Ok((Part { after: told.revision, last: up_to, told: vec![told], places }, false))
            }
            (None, Some(Bookmark { revision, begins, all_applications })) => {
                if !all_applications {
                    return Err("it is of a watch whose account does not see every application".to_owned());
                }
                let revision = revision.revision()?;
                must_be_of(revision, up_to, revision == up_to)?;
                Ok((Part { after: revision, last: revision, told: Vec::new(), places }, begins))
            }
            _ => Err("it is neither a revocation nor a bookmark".to_owned()),
        }
    }

    /// Behind what was there, unless a watch begins here without a token, or it goes back: then there is a hole.
    fn goes_on(&mut self, next: Part, begins: bool) {
        match self.parts.last_mut() {
            Some(part) if !begins && part.last <= next.last => {
                part.last = next.last;
                part.told.extend(next.told);
                let last = part.places.last().copied();
                part.places.extend(next.places.into_iter().filter(|place| last != Some(*place)));
            }
            _ => self.parts.push(next),
        }
    }
}

/// Its revision stands in its token as well.
fn must_be_of(revision: Revision, token: Revision, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(format!("its revision is {revision}, and that of its resume_token {token}")) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::token::FilterPrint;

    pub(in crate::recovery) const HISTORY: Uuid = Uuid::from_u128(7);

    fn token(log_id: Uuid, of: &[ApplicationId], revision: i64) -> String {
        let position = Position { revision: Revision::new(revision), event_id: Uuid::from_u128(9) };
        ResumeToken::new(log_id, position, FilterPrint::of(of)).encode()
    }

    pub(in crate::recovery) fn bookmark(revision: i64, begins: bool) -> String {
        let token = token(HISTORY, &[], revision);
        format!(
            "{{\"bookmark\": {{\"revision\": \"{revision}\", \"begins\": {begins}, \"all_applications\": true}}, \
             \"resume_token\": \"{token}\"}}\n"
        )
    }

    /// The last item of its event.
    pub(in crate::recovery) fn revoked(revision: i64) -> String {
        item(revision, "REVOCATION_CAUSE_REVOKED", &token(HISTORY, &[], revision))
    }

    const APPLICATION: ApplicationId = ApplicationId::new(Uuid::from_u128(1));
    const KEY: KeyId = KeyId::new(Uuid::from_u128(2));

    fn item(revision: i64, cause: &str, token: &str) -> String {
        format!(
            "{{\"revocation\": {{\"revision\": \"{revision}\", \"application_id\": \"{APPLICATION}\", \
             \"key_id\": \"{KEY}\", \"cause\": \"{cause}\"}}, \"resume_token\": \"{token}\"}}\n"
        )
    }

    /// A watch without a token, whose bookmarks are at these.
    pub(in crate::recovery) fn marks(revisions: &[i64]) -> String {
        revisions.iter().enumerate().map(|(at, revision)| bookmark(*revision, at == 0)).collect()
    }

    fn spans(archive: &Archive) -> Vec<(i64, i64)> {
        archive.parts.iter().map(|part| (part.after.number(), part.last.number())).collect()
    }

    fn refusal(text: &str) -> String {
        Archive::read(text.as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn what_the_command_prints_reads_and_what_does_not_names_its_line() {
        let text = |cause: &str, token: &str| bookmark(3, true) + "\n" + &item(5, cause, token);
        let app = ApplicationId::new(Uuid::from_u128(1));
        let [all, some, other] =
            [(HISTORY, &[][..]), (HISTORY, &[app]), (Uuid::from_u128(8), &[])].map(|(log, of)| token(log, of, 5));
        for (cause, what) in [("REVOKED", What::Revoked), ("ROTATED", What::Revoked), ("DISABLED", What::Narrowed)] {
            let text = text(&format!("REVOCATION_CAUSE_{cause}"), &all);
            let archive = Archive::read(text.as_bytes()).expect("it reads");
            assert_eq!((archive.log_id, spans(&archive)), (Some(HISTORY), vec![(3, 5)]));
            let told = Told { revision: Revision::new(5), application: APPLICATION, key: Some(KEY), what };
            assert_eq!(archive.parts[0].told, [told]);
        }
        let narrow = bookmark(3, true).replace("true}", "false}");
        for (text, said) in [
            (text("MOVED", &all), "line 3: \"MOVED\" is no cause"),
            (text("REVOKED", ""), "line 3: it has no resume_token that reads"),
            (text("REVOKED", &some), "line 3: it is of a watch of some applications"),
            (text("REVOKED", &other), "line 3: it is of another history"),
            (narrow, "line 1: it is of a watch whose account does not see every application"),
            (format!("{{\"resume_token\": \"{all}\"}}\n"), "line 1: it is neither"),
            ("\nnonsense\n".to_owned(), "line 2: "),
        ] {
            assert!(refusal(&text).starts_with(said), "{}", refusal(&text));
        }
    }

    #[test]
    fn a_last_line_that_was_not_written_to_its_end_is_left_out_and_no_other_one() {
        let whole = bookmark(3, true) + &revoked(5);
        let cut = |text: &str| Archive::read(text.as_bytes()).map(|archive| (archive.cut, spans(&archive)));
        for at in 1..revoked(6).len() - 1 {
            let read = cut(&(whole.clone() + &revoked(6)[..at])).expect("it reads");
            assert_eq!(read, (Some(3), vec![(3, 5)]), "{at}");
        }
        assert_eq!(cut((whole.clone() + &revoked(6)).trim_end()).expect("all there"), (None, vec![(3, 6)]));
        let half = &revoked(5)[..40];
        assert!(
            refusal(&(bookmark(3, true) + half + &bookmark(6, false))).starts_with("line 2: "),
            "went on behind it"
        );
        assert!(refusal(&(whole + half + "\n")).starts_with("line 3: "), "written so");
    }

    #[test]
    fn a_revision_that_is_not_that_of_its_token_is_refused_by_the_number_of_its_line() {
        let of = |revision: i64, token_of: i64| item(revision, "REVOKED", &token(HISTORY, &[], token_of));
        let begin = bookmark(3, true);
        let said = "its revision is 9, and that of its resume_token 5";
        assert!(
            refusal(&(begin.clone() + &bookmark(9, false).replace(&token(HISTORY, &[], 9), &token(HISTORY, &[], 5))))
                .contains(said)
        );
        assert!(refusal(&(begin.clone() + &of(5, 9))).contains("line 2: its revision is 5"));
        // All items of an event but the last go on from what was before it.
        let spans = |text: &str| spans(&Archive::read(text.as_bytes()).expect("it reads"));
        assert_eq!(spans(&(begin.clone() + &of(9, 5) + &of(9, 9) + &bookmark(9, false))), [(3, 9)]);
        assert_eq!(spans(&(begin.clone() + &of(9, 5) + &of(9, 5) + &of(9, 5) + &of(9, 9))), [(3, 9)], "all of it anew");
        assert_eq!(spans(&(begin.clone() + &of(9, 5))), [(3, 5)], "the rest of its event is not there");
        assert_eq!(spans(&(begin.clone() + &of(9, 5) + &bookmark(12, true))), [(3, 5), (12, 12)], "a hole");
        for next in [bookmark(5, false), of(6, 6), of(12, 12)] {
            assert!(refusal(&(begin.clone() + &of(9, 5) + &next)).contains(&format!("line 2: {said}")));
        }
    }

    #[test]
    fn a_watch_that_begins_anew_leaves_a_hole_and_one_that_resumes_leaves_none() {
        let parts = |text: &str| spans(&Archive::read(text.as_bytes()).expect("it reads"));
        assert_eq!(parts(&(marks(&[3, 5]) + &bookmark(9, false))), [(3, 9)]);
        assert_eq!(parts(&(marks(&[3, 5]) + &marks(&[9, 12]))), [(3, 5), (9, 12)]);
        assert_eq!(parts(&(marks(&[9, 12]) + &bookmark(4, false) + &bookmark(6, false))), [(9, 12), (4, 6)]);
    }
}
