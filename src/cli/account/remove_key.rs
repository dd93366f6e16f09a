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

/// Take a key from a service account
///
/// Asks first, naming the account; without a terminal it wants --yes. Prints the account with
/// the keys that it has left. What was signed with the key is refused everywhere when this
/// returns, and streams that it opened end.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis account remove-key sa_1 kid_1 --yes")]
pub(super) struct RemoveKey {
    /// The id of the service account, sa_…
    #[arg(value_name = "ACCOUNT")]
    account: String,

    /// Which key, as `account get` shows it
    #[arg(value_name = "KID", allow_hyphen_values = true)]
    kid: String,

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

impl RemoveKey {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { account, kid, confirm, wait, printed, service } = self;
        confirm.can_ask("removing a key")?;
        let answer = block_on(async {
            let session = service.connect().await?;
            if confirm.must_ask() {
                let of = described(&get::account(&session, &account).await?);
                let mine = session.client().credentials().is_some_and(|mine| mine.kid().as_str() == kid);
                let mine = if mine { " It is the one that these credentials call with!" } else { "" };
                confirm.ask(&format!("Remove the key {kid} of {of}? This cannot be undone.{mine}"))?;
            }
            let wait = wait.map_or(0, i32::from);
            let request = pb::RemoveServiceAccountKeyRequest { service_account_id: account, kid, wait };
            let method = "ServiceAccountService/RemoveServiceAccountKey";
            session.change::<_, pb::RemoveServiceAccountKeyResponse>(method, &request, Repeat::Unsafe).await
        })?;
        show(answer.json()?, answer.message.service_account, &printed, &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}
