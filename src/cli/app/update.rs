use std::process::ExitCode;

use clap::Args;

use super::settings::{AppSettings, CLEARABLE};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, Repeat, ServiceArgs, clear_words, details, required_app},
    },
    pb,
};

/// Change an application
///
/// Changes what a flag is given for and leaves the rest; a list is replaced as a whole, and so
/// are the --alert-… together. Prints the application as it is then. A lower plan applies to all
/// of its keys at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis app update app_1 --overlap 7d --leaks revoke
  portcullis app update app_1 --clear notify-email")]
pub(super) struct Update {
    /// The id of the application
    #[arg(value_name = "APP", env = "PORTCULLIS_APP")]
    app: Option<String>,

    /// What it is called, 1 to 128 characters
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// What is to be as if it had never been given
    #[arg(long, value_name = "FLAG", value_delimiter = ',', value_parser = clear_words(CLEARABLE))]
    clear: Vec<String>,

    #[command(flatten)]
    settings: AppSettings,

    /// The etag that `get` showed: be refused where somebody changed it since
    #[arg(long, value_name = "ETAG", default_value = "", hide_default_value = true)]
    etag: String,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Update {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { app, name, clear, settings, etag, printed, service } = self;
        // With an etag, a second attempt would be refused for what the first one did.
        let repeat = if etag.is_empty() { Repeat::Safe } else { Repeat::Unsafe };
        let mut new = pb::Application { application_id: required_app(app)?, etag, ..Default::default() };
        let mut changes = settings.put(&mut new);
        changes.put("name", &mut new.name, name);
        changes.clear(&clear, CLEARABLE)?;
        let request = pb::UpdateApplicationRequest { application: Some(new), update_mask: Some(changes.mask()?) };
        let answer = block_on(async {
            let session = service.connect().await?;
            session
                .change::<_, pb::UpdateApplicationResponse>("ApplicationService/UpdateApplication", &request, repeat)
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
