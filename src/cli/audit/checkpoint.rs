use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{LogArgs, described, refused};
use crate::{
    cli::{args::block_on, failure::Failure, out::Out},
    client::{Checkpoint, WhyNot},
};

/// Sign what the audit log is now, to be kept elsewhere
///
/// Verifies the log, signs its last event's hash with the key of the credentials, and writes
/// that to a new file; prints which event that was. Keep the file where nobody who can write the
/// database can write: `audit verify --checkpoint` then finds whatever is cut or rewritten up
/// to this event. Give the checkpoint before with --checkpoint, so that each one vouches for
/// the one before it. Nothing in the file is secret.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis audit checkpoint --out 2026-12.json --checkpoint 2026-11.json")]
pub(super) struct MakeCheckpoint {
    /// Where to write the checkpoint
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    #[command(flatten)]
    log: LogArgs,
}

impl MakeCheckpoint {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { out: path, log } = self;
        // Before the log is read; writing it asks again.
        if path.symlink_metadata().is_ok() {
            return Err(refused(WhyNot::Exists.at(&path)));
        }
        let verified = block_on(log.verify())?;
        verified.must_be_whole(&mut out)?;
        let head = &verified.report.head;
        if head.seq == 0 {
            return Err(Failure::Failed("the audit log is empty: there is nothing to sign yet".to_owned()));
        }
        let credentials = verified.client.credentials().ok_or_else(|| Failure::usage("no credentials"))?;
        let checkpoint = Checkpoint::sign(credentials, head).map_err(|why| refused(why.at(&path)))?;
        checkpoint.write_new(&path).map_err(refused)?;
        out.line(&format!("{}; signed in {}", described(head), path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
