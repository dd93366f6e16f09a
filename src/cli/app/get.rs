use std::process::ExitCode;

use clap::Args;

use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, ServiceArgs, details, required_app},
    },
    pb,
};

/// Show all about an application
///
/// Prints what is known of it, a line each.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis app get app_1")]
pub(super) struct Get {
    /// The id of the application
    #[arg(value_name = "APP", env = "PORTCULLIS_APP")]
    app: Option<String>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Get {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let request = pb::GetApplicationRequest { application_id: required_app(self.app)? };
        let answer = block_on(async {
            let session = self.service.connect().await?;
            session.read::<_, pb::GetApplicationResponse>("ApplicationService/GetApplication", &request).await
        })?;
        if self.printed.json() {
            out.line(&answer.json()?)?;
        } else {
            out.line(&details(&answer.message.application.unwrap_or_default(), &self.printed.look()?))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
