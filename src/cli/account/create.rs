use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{new_key, settings::AccountSettings, show};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, Repeat, Retry, ServiceArgs, Wait},
    },
    pb,
};

/// Make a service account
///
/// Prints the account. With --out also makes a key for it, on this machine, and writes its
/// credentials file; without, `account add-key` gives it one later. Where the server does not
/// answer, asks again with the same request_id, which never makes a second one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis account create --name gateway --role verifier,watcher --app app_1 --out gateway.json
  portcullis account create --name auditor --role viewer --all-apps")]
pub(super) struct Create {
    /// What it is called, 1 to 128 characters
    #[arg(long, value_name = "NAME")]
    name: String,

    #[command(flatten)]
    settings: AccountSettings,

    /// Where to write the credentials file of a new key of it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    retry: Retry,

    /// How long to wait until it holds at every replica [default: everywhere]
    #[arg(long, value_enum, value_name = "WAIT")]
    wait: Option<Wait>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Create {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { name, settings, out: path, retry, wait, printed, service } = self;
        path.as_deref().map(new_key::must_be_free).transpose()?;
        let mut account = pb::ServiceAccount { name, ..Default::default() };
        settings.put(&mut account);
        let wait = wait.map_or(0, i32::from);
        let request = pb::CreateServiceAccountRequest { service_account: Some(account), request_id: retry.id()?, wait };
        let (account, json) = block_on(async {
            let session = service.connect().await?;
            let repeat = Repeat::Named(&request.request_id);
            let method = "ServiceAccountService/CreateServiceAccount";
            let answer = session.change::<_, pb::CreateServiceAccountResponse>(method, &request, repeat).await?;
            let json = answer.json()?;
            let account = answer.message.service_account.unwrap_or_default();
            let Some(path) = path else { return Ok((Some(account), json)) };
            let key = new_key::generate()?;
            let (added, json) = new_key::add_and_write(&session, &account.service_account_id, key, wait, &path).await?;
            Ok((added.service_account, json))
        })?;
        show(json, account, &printed, &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}
