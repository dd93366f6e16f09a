use std::process::ExitCode;

use clap::Args;

use super::{LogArgs, described};
use crate::cli::{args::block_on, failure::Failure, out::Out};

/// Verify that the audit log is what was written
///
/// Reads the whole log, computes each event's hash anew and follows the chain from the first
/// event to the last; prints how many there are and the last one's hash, or what is wrong and
/// at which event. Without a checkpoint that was kept elsewhere, nobody can know that the log
/// was not cut at its end, or rewritten as a whole. Needs an account with all applications.
/// Exit code: 0 all as written, 1 it is not, or the call failed, 2 it could not be tried as
/// asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis audit verify --checkpoint 2026-11.json --checkpoint 2026-12.json")]
pub(super) struct Verify {
    #[command(flatten)]
    log: LogArgs,
}

impl Verify {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let verified = block_on(self.log.verify())?;
        verified.must_be_whole(&mut out)?;
        out.line(&described(&verified.report.head))?;
        for (path, checkpoint) in &verified.checkpoints {
            out.line(&format!("holds to {}, signed at {}", path.display(), checkpoint.time()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
