use std::process::ExitCode;

use clap::Args;

use super::{failure::Failure, out::Out, serve::block_on};
use crate::{config::DatabaseArgs, store::Store};

/// Make the database, or bring its schema up to this version
///
/// Says how many migrations it applied. Does nothing when there are none, so it can be run
/// before every start.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis migrate --database-url sqlite:///var/lib/portcullis/portcullis.db

On PostgreSQL the owner of the schema does it; PORTCULLIS_DATABASE_URL keeps the password to yourself.")]
pub(super) struct Migrate {
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Migrate {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let url = self.database.url().map_err(Failure::usage)?;
        let applied = block_on(async { Store::migrate(&url).await.map_err(Failure::failed) })?;
        out.line(&match applied {
            0 => "there is nothing to migrate".to_owned(),
            1 => "1 migration applied".to_owned(),
            more => format!("{more} migrations applied"),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
