//! One line of an archive, as JSON has it.

use serde::Deserialize;

use super::archive::{Told, What};
use crate::domain::id::Revision;

#[derive(Deserialize)]
pub(super) struct Item {
    pub(super) revocation: Option<Revocation>,
    pub(super) bookmark: Option<Bookmark>,
    #[serde(default, alias = "resumeToken")]
    pub(super) resume_token: String,
}

#[derive(Deserialize)]
pub(super) struct Revocation {
    pub(super) revision: Number,
    #[serde(alias = "applicationId")]
    application_id: String,
    #[serde(default, alias = "keyId")]
    key_id: String,
    cause: String,
}

#[derive(Deserialize)]
pub(super) struct Bookmark {
    #[serde(default)]
    pub(super) revision: Number,
    #[serde(default)]
    pub(super) begins: bool,
    #[serde(default, alias = "allApplications")]
    pub(super) all_applications: bool,
}

/// JSON has 64 bits as a text; some write a number.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Number {
    Text(String),
    Number(i64),
}

impl Default for Number {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Number {
    pub(super) fn revision(self) -> Result<Revision, String> {
        match self {
            Self::Number(number) => Ok(Revision::new(number)),
            Self::Text(text) => text.parse().map(Revision::new).map_err(|_| format!("\"{text}\" is no revision")),
        }
    }
}

impl Revocation {
    pub(super) fn read(self) -> Result<Told, String> {
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
