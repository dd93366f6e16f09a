use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::store::{DatabaseUrl, DatabaseUrlInvalid};

/// What one looks like, for who has given none.
pub(super) const EXAMPLES: &str = ", for example to sqlite:///var/lib/portcullis/portcullis.db, or to \
                                   postgres://USER:PASSWORD@HOST/DATABASE";

/// Where the data is.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// The database: sqlite:///absolute/path.db for one server, or
    /// postgres://USER:PASSWORD@HOST/DATABASE for any number of them. Others can read the
    /// arguments of a process, so a password is better in the variable
    #[arg(long, env = "PORTCULLIS_DATABASE_URL", value_name = "URL", required = true, hide_env_values = true, value_parser = as_it_is)]
    database_url: Option<SecretString>,

    /// A file with settings, TOML: one table whose keys are the names of flags, such as lease = "5s". A flag comes
    /// before its variable, and that before the file
    #[arg(long, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl DatabaseArgs {
    /// # Errors
    /// Where it is no URL of a database. Looked at here, since a parser of arguments repeats what it
    /// refuses, and this may hold a password.
    pub fn url(&self) -> Result<DatabaseUrl, DatabaseUrlInvalid> {
        self.database_url.as_ref().ok_or(DatabaseUrlInvalid::Unknown)?.expose_secret().parse()
    }

    /// The file with settings, where one is named.
    #[must_use]
    pub fn settings_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what the parser of arguments wants")]
fn as_it_is(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}
