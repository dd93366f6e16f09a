use std::{path::PathBuf, str::FromStr};

/// Where the data is: `sqlite://PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    pub(super) path: PathBuf,
}

/// Not a URL of a database that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a database URL is sqlite://PATH (sqlite:///absolute/path.db or sqlite://relative/path.db)")]
pub struct DatabaseUrlInvalid;

impl DatabaseUrl {
    /// The SQLite file at `path`.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlInvalid;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlInvalid> {
        let path = text.strip_prefix("sqlite://").ok_or(DatabaseUrlInvalid)?;
        let is_file =
            !path.is_empty() && !path.contains(['?', '#', '\0']) && !path.ends_with('/') && path != ":memory:";
        if is_file { Ok(Self::sqlite(path)) } else { Err(DatabaseUrlInvalid) }
    }
}
