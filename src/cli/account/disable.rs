use std::process::ExitCode;

use clap::Args;

use super::{described, get, show};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Confirm, Printed, Repeat, ServiceArgs, Wait},
    },
    pb,
};

/// Refuse every call of a service account
///
/// Asks first, naming the account; without a terminal it wants --yes. Prints the account as it
/// is then. Its streams end, too. `account update --enable` lifts it, by another admin.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis account disable sa_1 --yes")]
pub(super) struct Disable {
    /// The id of the service account, sa_…
    #[arg(value_name = "ACCOUNT")]
    account: String,

    /// The etag that `get` showed: be refused where somebody changed it since
    #[arg(long, value_name = "ETAG", default_value = "", hide_default_value = true)]
    etag: String,

    #[command(flatten)]
    confirm: Confirm,

    /// How long to wait until it is refused [default: everywhere]
    #[arg(long, value_enum, value_name = "WAIT")]
    wait: Option<Wait>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Disable {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { account, etag, confirm, wait, printed, service } = self;
        confirm.can_ask("disabling an account stops whoever calls with it, which")?;
        let repeat = if etag.is_empty() { Repeat::Safe } else { Repeat::Unsafe };
        let answer = block_on(async {
            let session = service.connect().await?;
            if confirm.must_ask() {
                let account = get::account(&session, &account).await?;
                confirm.ask(&format!("Disable {}? Every call of it is refused at once.", described(&account)))?;
            }
            let wait = wait.map_or(0, i32::from);
            let request = pb::DisableServiceAccountRequest { service_account_id: account, etag, wait };
            let method = "ServiceAccountService/DisableServiceAccount";
            session.change::<_, pb::DisableServiceAccountResponse>(method, &request, repeat).await
        })?;
        show(answer.json()?, answer.message.service_account, &printed, &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}
