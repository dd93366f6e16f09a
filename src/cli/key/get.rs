use std::process::ExitCode;

use clap::Args;

use super::named::KeyArgs;
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, ServiceArgs, details},
    },
    pb,
};

/// Show all about a key
///
/// Prints what is known of it, a line each; never its secret, which nobody has any more.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis key get key_1 --app app_1")]
pub(super) struct Get {
    #[command(flatten)]
    key: KeyArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Get {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { key, printed, service } = self;
        key.check()?;
        let answer = block_on(async {
            let session = service.connect().await?;
            let named = key.find(&session).await?;
            let request = pb::GetKeyRequest { application_id: named.application_id, key_id: named.key_id };
            session.read::<_, pb::GetKeyResponse>("KeyService/GetKey", &request).await
        })?;
        if printed.json() {
            out.line(&answer.json()?)?;
        } else {
            out.line(&details(&answer.message.key.unwrap_or_default(), &printed.look()?))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
