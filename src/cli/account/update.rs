use std::process::ExitCode;

use clap::Args;

use super::{
    settings::{AccountSettings, CLEARABLE},
    show,
};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, Repeat, ServiceArgs, Wait, clear_words},
    },
    pb,
};

/// Change a service account
///
/// Changes what a flag is given for and leaves the rest; a list is replaced as a whole. Prints
/// the account as it is then. What is taken away is refused everywhere when this returns.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis account update sa_1 --role editor --app app_1,app_2
  portcullis account update sa_1 --enable")]
pub(super) struct Update {
    /// The id of the service account, sa_…
    #[arg(value_name = "ACCOUNT")]
    account: String,

    /// What it is called, 1 to 128 characters
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Take an `account disable` back
    #[arg(long)]
    enable: bool,

    /// What is to be as if it had never been given
    #[arg(long, value_name = "FLAG", value_delimiter = ',', value_parser = clear_words(CLEARABLE))]
    clear: Vec<String>,

    #[command(flatten)]
    settings: AccountSettings,

    /// The etag that `get` showed: be refused where somebody changed it since
    #[arg(long, value_name = "ETAG", default_value = "", hide_default_value = true)]
    etag: String,

    /// How long to wait until it holds at every replica [default: everywhere]
    #[arg(long, value_enum, value_name = "WAIT")]
    wait: Option<Wait>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Update {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { account, name, enable, clear, settings, etag, wait, printed, service } = self;
        // With an etag, a second attempt would be refused for what the first one did.
        let repeat = if etag.is_empty() { Repeat::Safe } else { Repeat::Unsafe };
        let mut new = pb::ServiceAccount { service_account_id: account, etag, ..Default::default() };
        let mut changes = settings.put(&mut new);
        changes.put("name", &mut new.name, name);
        changes.put("disabled", &mut new.disabled, enable.then_some(false));
        changes.clear(&clear, CLEARABLE)?;
        let request = pb::UpdateServiceAccountRequest {
            service_account: Some(new),
            update_mask: Some(changes.mask()?),
            wait: wait.map_or(0, i32::from),
        };
        let answer = block_on(async {
            let session = service.connect().await?;
            let method = "ServiceAccountService/UpdateServiceAccount";
            session.change::<_, pb::UpdateServiceAccountResponse>(method, &request, repeat).await
        })?;
        show(answer.json()?, answer.message.service_account, &printed, &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}
