//! Whether a server could start here and keep what it promises: one finding a thing, each with what to do.
//! Nothing is changed by looking.

mod clock;
mod database;
mod files;
mod open_files;

use std::fmt;

pub use clock::clock;
pub use database::database;
pub use files::{certificate, private_file};
pub use open_files::open_files;

/// How bad it is. In the order of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// A server starts, and something is not as it should be.
    Warn,
    /// A server does not start, or answers nothing, or breaks a promise.
    Fail,
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What was looked at.
    pub of: &'static str,
    pub said: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    #[must_use]
    pub fn ok(of: &'static str, said: impl Into<String>) -> Self {
        Self { level: Level::Ok, of, said: said.into(), advice: None }
    }

    #[must_use]
    pub fn warn(of: &'static str, said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, of, said: said.into(), advice: Some(advice.into()) }
    }

    #[must_use]
    pub fn fail(of: &'static str, said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, of, said: said.into(), advice: Some(advice.into()) }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}
