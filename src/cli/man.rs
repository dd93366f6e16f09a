use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _};

use super::{Cli, failure::Failure, out::Out};

/// Write the manual pages
///
/// Writes a page for each command into a folder, and prints how many they are. They are the
/// helps, as `man` shows them.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis man --out /usr/local/share/man/man1")]
pub(super) struct Man {
    /// The folder; what is there by the same names is overwritten
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Man {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let failed = |error| Failure::Failed(format!("cannot write manual pages to {}: {error}", self.out.display()));
        std::fs::create_dir_all(&self.out).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &self.out).map_err(failed)?;
        let pages = std::fs::read_dir(&self.out).map_err(failed)?.count();
        out.line(&format!("{pages} pages in {}", self.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
