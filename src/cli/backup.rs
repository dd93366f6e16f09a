use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{failure::Failure, out::Out, serve::block_on};
use crate::{config::DatabaseArgs, store};

/// Copy an SQLite database into a file, while a server goes on
///
/// The copy is of one moment, is checked as a whole, is on the disk when the command ends, and is readable by
/// its owner only. It never overwrites a file. A PostgreSQL database is backed up by its own tools.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis backup --database-url sqlite:///var/lib/portcullis/portcullis.db --out backup.db")]
pub(super) struct Backup {
    #[command(flatten)]
    database: DatabaseArgs,

    /// Where to write the copy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Backup {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let url = self.database.url().map_err(Failure::usage)?;
        let taken = block_on(async { store::Backup::take(&url, &self.out).await.map_err(Failure::from) })?;
        let (path, revision, bytes) = (self.out.display(), taken.revision, taken.bytes);
        out.line(&format!("wrote {path}: up to revision {revision}, {bytes} bytes, checked"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl From<store::BackupError> for Failure {
    fn from(error: store::BackupError) -> Self {
        match error {
            store::BackupError::Server | store::BackupError::Exists(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
