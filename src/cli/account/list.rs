use std::process::ExitCode;

use clap::Args;

use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{PageArgs, Printed, ServiceArgs, list},
    },
    pb,
};

/// List the service accounts within your own reach
///
/// Prints a table, oldest first, or with --json a line of JSON each.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis account list --json | jq -r 'select(.disabled) | .name'")]
pub(super) struct List {
    /// Only those whose name begins so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name_prefix: String,

    #[command(flatten)]
    pages: PageArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl List {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { name_prefix, pages, printed, service } = self;
        let request = pb::ListServiceAccountsRequest { name_prefix, ..Default::default() };
        block_on(async { list(&service.connect().await?, request, pages, &printed, &mut out).await })?;
        Ok(ExitCode::SUCCESS)
    }
}
