use std::process::ExitCode;

use clap::Args;

use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{AppArgs, Environment, PageArgs, Printed, ServiceArgs, list},
    },
    pb,
};

/// List the keys of an application
///
/// Prints a table, oldest first, or with --json a line of JSON each. On a terminal it fits its
/// width, and times are told in words; elsewhere nothing is shortened, and times are in RFC 3339.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key list --app app_1
  portcullis key list --unused
  portcullis key list --json | jq -r 'select(.expire_time == null) | .key_id'")]
pub(super) struct List {
    /// Also those that are revoked
    #[arg(long)]
    revoked: bool,

    /// Only those that were not used for 90 days
    #[arg(long)]
    unused: bool,

    /// Only those of this environment
    #[arg(long, value_enum, value_name = "ENVIRONMENT")]
    environment: Option<Environment>,

    /// Only those whose name begins so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name_prefix: String,

    #[command(flatten)]
    pages: PageArgs,

    #[command(flatten)]
    app: AppArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl List {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { revoked, unused, environment, name_prefix, pages, app, printed, service } = self;
        let request = pb::ListKeysRequest {
            application_id: app.id()?,
            show_revoked: revoked,
            unused_only: unused,
            environment: environment.map_or(0, i32::from),
            name_prefix,
            ..Default::default()
        };
        block_on(async { list(&service.connect().await?, request, pages, &printed, &mut out).await })?;
        Ok(ExitCode::SUCCESS)
    }
}
