use serde::Deserialize;
use uuid::Uuid;

use crate::domain::{
    event::Position,
    id::{ApplicationId, KeyId, Revision},
    token::ResumeToken,
};

/// What watchers were told, as `portcullis key watch --bookmarks --json` prints it: a JSON object a line.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// Of which history; none of an empty one.
    pub(super) log_id: Option<Uuid>,
    pub(super) parts: Vec<Part>,
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

/// Why a file is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {why}; an archive is what `portcullis key watch --bookmarks --json` prints, a JSON object a line"
)]
pub struct ArchiveRefused {
    pub line: usize,
    pub why: String,
}

#[derive(Deserialize)]
struct Line {
    revocation: Option<Revocation>,
    bookmark: Option<Bookmark>,
    #[serde(default, alias = "resumeToken")]
    resume_token: String,
}

#[derive(Deserialize)]
struct Revocation {
    revision: Number,
    #[serde(alias = "applicationId")]
    application_id: String,
    #[serde(default, alias = "keyId")]
    key_id: String,
    cause: String,
}

#[derive(Deserialize)]
struct Bookmark {
    #[serde(default)]
    revision: Number,
    #[serde(default)]
    begins: bool,
    #[serde(default, alias = "allApplications")]
    all_applications: bool,
}

/// JSON has 64 bits as a text; some write a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Number(i64),
}

impl Default for Number {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Number {
    fn revision(self) -> Result<Revision, String> {
        match self {
            Self::Number(number) => Ok(Revision::new(number)),
            Self::Text(text) => text.parse().map(Revision::new).map_err(|_| format!("\"{text}\" is no revision")),
        }
    }
}

impl Archive {
    pub fn read(text: &str) -> Result<Self, ArchiveRefused> {
        let mut archive = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            archive.take(line).map_err(|why| ArchiveRefused { line: at + 1, why })?;
        }
        Ok(archive)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        let Line { revocation, bookmark, resume_token } =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let token = ResumeToken::read(&resume_token).ok_or("it has no resume_token that reads")?;
        if *self.log_id.get_or_insert(token.log_id) != token.log_id {
            return Err("it is of another history than the lines before".to_owned());
        }
        if !token.names_no_application() {
            return Err("it is of a watch of some applications: one without application_ids is wanted".to_owned());
        }
        match (revocation, bookmark) {
            (Some(revocation), None) => {
                let told = revocation.read()?;
                // What came before it may have been cut off.
                let after = Revision::new(told.revision.number().saturating_sub(1));
                let (told, last, places) = (vec![told], told.revision, vec![token.position]);
                self.goes_on(Part { after, last, told, places }, false);
            }
            (None, Some(Bookmark { revision, begins, all_applications })) => {
                if !all_applications {
                    return Err("it is of a watch whose account does not see every application".to_owned());
                }
                let revision = revision.revision()?;
                let (told, places) = (Vec::new(), vec![token.position]);
                self.goes_on(Part { after: revision, last: revision, told, places }, begins);
            }
            _ => return Err("it is neither a revocation nor a bookmark".to_owned()),
        }
        Ok(())
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

impl Revocation {
    fn read(self) -> Result<Told, String> {
        let key = if self.key_id.is_empty() { None } else { Some(id(&self.key_id)?) };
        let what = match self.cause.strip_prefix("REVOCATION_CAUSE_").unwrap_or(&self.cause) {
            // What was rotated has ended for good, too.
            "REVOKED" | "HISTORY_FORK" | "ROTATED" => What::Revoked,
            "DISABLED" | "EXPIRED" | "NARROWED" => What::Narrowed,
            other => return Err(format!("\"{other}\" is no cause that this version knows")),
        };
        Ok(Told { revision: self.revision.revision()?, application: id(&self.application_id)?, key, what })
    }
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no id"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::token::FilterPrint;

    pub(in crate::recovery) const HISTORY: Uuid = Uuid::from_u128(7);

    fn token(log_id: Uuid, of: &[ApplicationId]) -> String {
        let position = Position { revision: Revision::new(1), event_id: Uuid::from_u128(9) };
        ResumeToken::new(log_id, position, FilterPrint::of(of)).encode()
    }

    fn bookmark(revision: i64, begins: bool) -> String {
        let token = token(HISTORY, &[]);
        format!(
            "{{\"bookmark\": {{\"revision\": \"{revision}\", \"begins\": {begins}, \"all_applications\": true}}, \
             \"resume_token\": \"{token}\"}}\n"
        )
    }

    /// A watch without a token, whose bookmarks are at these.
    pub(in crate::recovery) fn marks(revisions: &[i64]) -> String {
        revisions.iter().enumerate().map(|(at, revision)| bookmark(*revision, at == 0)).collect()
    }

    fn spans(archive: &Archive) -> Vec<(i64, i64)> {
        archive.parts.iter().map(|part| (part.after.number(), part.last.number())).collect()
    }

    #[test]
    fn what_the_command_prints_reads_and_what_does_not_names_its_line() {
        let app = ApplicationId::new(Uuid::from_u128(1));
        let key = KeyId::new(Uuid::from_u128(2));
        let text = |cause: &str, token: &str| {
            format!(
                "{}\n{{\"revocation\": {{\"revision\": \"5\", \"application_id\": \"{app}\", \"key_id\": \"{key}\", \
                 \"cause\": \"{cause}\"}}, \"resume_token\": \"{token}\"}}\n",
                bookmark(3, true)
            )
        };
        let (all, some, other) = (token(HISTORY, &[]), token(HISTORY, &[app]), token(Uuid::from_u128(8), &[]));
        for (cause, what) in [("REVOKED", What::Revoked), ("ROTATED", What::Revoked), ("DISABLED", What::Narrowed)] {
            let archive = Archive::read(&text(&format!("REVOCATION_CAUSE_{cause}"), &all)).expect("it reads");
            assert_eq!((archive.log_id, spans(&archive)), (Some(HISTORY), vec![(3, 5)]));
            let told = Told { revision: Revision::new(5), application: app, key: Some(key), what };
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
            let refused = Archive::read(&text).expect_err("refused").to_string();
            assert!(refused.starts_with(said), "{refused}");
        }
    }

    #[test]
    fn a_watch_that_begins_anew_leaves_a_hole_and_one_that_resumes_leaves_none() {
        let parts = |text: &str| spans(&Archive::read(text).expect("it reads"));
        assert_eq!(parts(&(marks(&[3, 5]) + &bookmark(9, false))), [(3, 9)]);
        assert_eq!(parts(&(marks(&[3, 5]) + &marks(&[9, 12]))), [(3, 5), (9, 12)]);
        assert_eq!(parts(&(marks(&[9, 12]) + &bookmark(4, false) + &bookmark(6, false))), [(9, 12), (4, 6)]);
    }
}
