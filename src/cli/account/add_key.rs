use std::{fs, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{new_key, show};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, Repeat, ServiceArgs, Wait},
    },
    pb,
};

/// Give a service account another key
///
/// Prints the account with its keys. With --out makes the key on this machine and writes its
/// credentials file; with --public-key takes the public half of a key that is kept elsewhere.
/// To replace a key, add the new one, let callers move, and remove the old one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis account add-key sa_1 --out gateway-2.json
  portcullis account add-key sa_1 --public-key gateway.pem")]
pub(super) struct AddKey {
    /// The id of the service account, sa_…
    #[arg(value_name = "ACCOUNT")]
    account: String,

    /// Where to write the credentials file of a new key
    #[arg(long, value_name = "FILE", required_unless_present = "public_key", conflicts_with = "public_key")]
    out: Option<PathBuf>,

    /// PEM file of a public key: RSA of 2,048 to 4,096 bits
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,

    /// How long to wait until every replica knows it [default: everywhere]
    #[arg(long, value_enum, value_name = "WAIT")]
    wait: Option<Wait>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl AddKey {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { account, out: path, public_key, wait, printed, service } = self;
        path.as_deref().map(new_key::must_be_free).transpose()?;
        let public_key_pem = match &public_key {
            None => String::new(),
            Some(path) => fs::read_to_string(path)
                .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?,
        };
        let wait = wait.map_or(0, i32::from);
        let (added, json) = block_on(async {
            let session = service.connect().await?;
            if let Some(path) = path {
                return new_key::add_and_write(&session, &account, new_key::generate()?, wait, &path).await;
            }
            let request = pb::AddServiceAccountKeyRequest { service_account_id: account, public_key_pem, wait };
            let method = "ServiceAccountService/AddServiceAccountKey";
            let answer =
                session.change::<_, pb::AddServiceAccountKeyResponse>(method, &request, Repeat::Unsafe).await?;
            let json = answer.json()?;
            Ok((answer.message, json))
        })?;
        show(json, added.service_account, &printed, &mut out)?;
        Ok(ExitCode::SUCCESS)
    }
}
