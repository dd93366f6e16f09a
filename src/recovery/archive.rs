use serde::Deserialize;

use crate::domain::id::{ApplicationId, KeyId, Revision};

/// What watchers were told, as `portcullis call KeyService/WatchRevocations` prints it: a JSON object a line.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    pub(super) told: Vec<Told>,
    /// It says all that was told after this revision,
    after: Option<Revision>,
    /// up to this one.
    last: Revision,
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
    "line {line}: {why}; an archive is what `portcullis call KeyService/WatchRevocations` prints, a JSON object a line"
)]
pub struct ArchiveRefused {
    pub line: usize,
    pub why: String,
}

#[derive(Deserialize)]
struct Line {
    revocation: Option<Revocation>,
    bookmark: Option<Bookmark>,
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
        let Line { revocation, bookmark } = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let (revision, after) = match (revocation, bookmark) {
            (Some(revocation), None) => {
                let told = revocation.read()?;
                self.told.push(told);
                // What came before it may have been cut off.
                (told.revision, Revision::new(told.revision.number() - 1))
            }
            (None, Some(bookmark)) => {
                let revision = bookmark.revision.revision()?;
                (revision, revision)
            }
            _ => return Err("it is neither a revocation nor a bookmark".to_owned()),
        };
        self.after.get_or_insert(after);
        self.last = self.last.max(revision);
        Ok(())
    }

    /// The revision after which it holds all, and the last one; none of an empty one.
    pub(super) fn holds(&self) -> Option<(Revision, Revision)> {
        self.after.map(|after| (after, self.last))
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
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_the_command_prints_reads_and_what_does_not_names_its_line() {
        let app = ApplicationId::new(Uuid::from_u128(1));
        let key = KeyId::new(Uuid::from_u128(2));
        let text = |cause: &str| {
            format!(
                "{{\"bookmark\": {{\"revision\": \"3\"}}, \"resume_token\": \"x\"}}\n\n\
                 {{\"revocation\": {{\"revision\": \"5\", \"application_id\": \"{app}\", \"key_id\": \"{key}\", \"cause\": \"{cause}\"}}}}\n"
            )
        };
        for (cause, what) in [("REVOKED", What::Revoked), ("ROTATED", What::Revoked), ("DISABLED", What::Narrowed)] {
            let archive = Archive::read(&text(&format!("REVOCATION_CAUSE_{cause}"))).expect("it reads");
            assert_eq!(archive.holds(), Some((Revision::new(3), Revision::new(5))));
            let told = Told { revision: Revision::new(5), application: app, key: Some(key), what };
            assert_eq!(archive.told, [told]);
        }
        for (text, said) in [
            (text("MOVED"), "line 3: \"MOVED\" is no cause"),
            ("{}\n".to_owned(), "line 1: it is neither"),
            ("\nnonsense\n".to_owned(), "line 2: "),
        ] {
            let refused = Archive::read(&text).expect_err("refused").to_string();
            assert!(refused.starts_with(said), "{refused}");
        }
    }
}
