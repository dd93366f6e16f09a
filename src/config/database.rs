use std::{convert::Infallible, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::store::{DatabaseUrl, DatabaseUrlInvalid};

/// Where the data is.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// The database: sqlite:///absolute/path.db for one server, or
    /// postgres://USER:PASSWORD@HOST/DATABASE for any number of them. Others can read the
    /// arguments of a process, so a password is better in the variable
    #[arg(long, env = "PORTCULLIS_DATABASE_URL", value_name = "URL", hide_env_values = true, value_parser = as_it_is)]
    database_url: SecretString,

    /// A file with settings, TOML: one table whose keys are the names of flags, such as lease = "5s". A flag comes
    /// before its variable, and that before the file
    #[arg(long = "config", id = "config", env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    _config: Option<PathBuf>,
}

impl DatabaseArgs {
    /// # Errors
    /// Where it is no URL of a database. Looked at here, since a parser of arguments repeats what it
    /// refuses, and this may hold a password.
    pub fn url(&self) -> Result<DatabaseUrl, DatabaseUrlInvalid> {
        self.database_url.expose_secret().parse()
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what the parser of arguments wants")]
fn as_it_is(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}
