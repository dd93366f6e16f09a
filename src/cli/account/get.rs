use std::process::ExitCode;

use clap::Args;

use super::show;
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, ServiceArgs, Session},
    },
    pb,
};

/// Show all about a service account
///
/// Prints what is known of it, a line each, and the kids of its keys.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis account get sa_1")]
pub(super) struct Get {
    /// The id of the service account, sa_…
    #[arg(value_name = "ACCOUNT")]
    account: String,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Get {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let answer = block_on(async {
            let session = self.service.connect().await?;
            let request = pb::GetServiceAccountRequest { service_account_id: self.account };
            session.read::<_, pb::GetServiceAccountResponse>(METHOD, &request).await
        })?;
        show(answer.json()?, answer.message.service_account, &self.printed, &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}

const METHOD: &str = "ServiceAccountService/GetServiceAccount";

/// What is asked about before something is taken from it.
pub(super) async fn account(session: &Session, id: &str) -> Result<pb::ServiceAccount, Failure> {
    let request = pb::GetServiceAccountRequest { service_account_id: id.to_owned() };
    let answer = session.read::<_, pb::GetServiceAccountResponse>(METHOD, &request).await?;
    Ok(answer.message.service_account.unwrap_or_default())
}
