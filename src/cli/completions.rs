use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, failure::Failure, out::Out};

/// Print the completions of a shell
///
/// Prints a script by which the shell completes commands, flags and their words at the tab key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis completions bash >/etc/bash_completion.d/portcullis
  portcullis completions zsh >\"${fpath[1]}/_portcullis\"
  portcullis completions fish >~/.config/fish/completions/portcullis.fish")]
pub(super) struct Completions {
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "portcullis", &mut script);
        out.line(String::from_utf8_lossy(&script).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
