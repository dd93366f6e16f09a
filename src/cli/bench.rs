//! What a call costs the server, beside an empty service of the same messages. Ratios of one
//! run hold on any machine; absolute times hold on none.

mod asked;
mod child;
mod cpus;
mod load;
mod reference;
mod report;
mod subject;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{failure::Failure, out::Out};

/// Measure what the service costs
///
/// Starts servers of its own, on loopback and on a temporary folder; touches no other. Prints
/// the measure, and on standard error what it does.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis bench verify --json")]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(verify::Verify),
    #[command(hide = true)]
    Subject(subject::Subject),
    #[command(hide = true)]
    Reference(reference::Reference),
}

impl Bench {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        match self.what {
            What::Verify(verify) => verify.run(out),
            What::Subject(subject) => subject.run(out),
            What::Reference(reference) => reference.run(out),
        }
    }
}
