use std::process::ExitCode;

use clap::Args;

use super::settings::AppSettings;
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, Repeat, Retry, ServiceArgs, details},
    },
    pb,
};

/// Make an application
///
/// Prints the application; its id is what --app and PORTCULLIS_APP take. Where the server does
/// not answer, asks again with the same request_id, which never makes a second one. Needs an
/// admin with all applications.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis app create --name acme --plan professional
  export PORTCULLIS_APP=$(portcullis app create --name acme --json | jq -r .application.application_id)")]
pub(super) struct Create {
    /// What it is called, 1 to 128 characters
    #[arg(long, value_name = "NAME")]
    name: String,

    #[command(flatten)]
    settings: AppSettings,

    #[command(flatten)]
    retry: Retry,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Create {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { name, settings, retry, printed, service } = self;
        let mut application = pb::Application { name, ..Default::default() };
        settings.put(&mut application);
        let request = pb::CreateApplicationRequest { application: Some(application), request_id: retry.id()? };
        let answer = block_on(async {
            let session = service.connect().await?;
            let repeat = Repeat::Named(&request.request_id);
            session
                .change::<_, pb::CreateApplicationResponse>("ApplicationService/CreateApplication", &request, repeat)
                .await
        })?;
        if printed.json() {
            out.line(&answer.json()?)?;
        } else {
            out.line(&details(&answer.message.application.unwrap_or_default(), &printed.look()?))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
