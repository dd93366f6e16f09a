use std::{
    fs::File,
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    failure::Failure,
    out::{Out, note},
    serve::{asked_to_stop, block_on},
};
use crate::{
    config::DatabaseArgs,
    store::{self, DatabaseUrl},
};

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

    /// Where to write the copy; - is standard output, for which a copy is made beside the database first
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Backup {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let url = self.database.url().map_err(Failure::usage)?;
        if self.out == Path::new("-") {
            return to_stdout(&url);
        }
        let taken = block_on(async {
            let stop = interrupted()?;
            store::Backup::take_until(&url, &self.out, stop).await.map_err(Failure::from)
        })?;
        out.line(&format!("wrote {}: {}", self.out.display(), told(taken)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn to_stdout(url: &DatabaseUrl) -> Result<ExitCode, Failure> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(Failure::Usage(
            "a terminal takes no database: give a file to --out, or `--out - >FILE`".to_owned(),
        ));
    }
    // Past its buffer, which looks for lines.
    let to = File::from(stdout.as_fd().try_clone_to_owned().map_err(Failure::failed)?);
    let taken = block_on(async { store::Backup::write_until(url, to, interrupted()?).await.map_err(Failure::from) })?;
    note(&format!("wrote standard output: {}", told(taken)));
    Ok(ExitCode::SUCCESS)
}

fn told(taken: store::Backup) -> String {
    let store::Backup { revision, bytes } = taken;
    format!("up to revision {revision}, {bytes} bytes, checked")
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
