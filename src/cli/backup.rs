use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    failure::Failure,
    out::Out,
    serve::{asked_to_stop, block_on},
};
use crate::{config::DatabaseArgs, store};

/// Copy an SQLite database into a file, while a server goes on
///
/// The copy is of one moment, is checked as a whole, is on the disk when the command ends, and is readable by
/// its owner only. It never overwrites a file, and leaves nothing where it is interrupted. A PostgreSQL database is
/// backed up by its own tools.
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
        let taken = block_on(async {
            let stop = interrupted()?;
            store::Backup::take_until(&url, &self.out, stop).await.map_err(Failure::from)
        })?;
        let (path, revision, bytes) = (self.out.display(), taken.revision, taken.bytes);
        out.line(&format!("wrote {path}: up to revision {revision}, {bytes} bytes, checked"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Told to end, or its terminal is gone: what there is of the copy must not stay.
fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    let stop = asked_to_stop()?;
    let mut hangups = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    Ok(async move {
        tokio::select! {
            () = stop => {}
            _ = hangups.recv() => {}
        }
    })
}

impl From<store::BackupError> for Failure {
    fn from(error: store::BackupError) -> Self {
        match error {
            store::BackupError::Server | store::BackupError::Exists(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
