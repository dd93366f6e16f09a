use std::process::ExitCode;

use clap::Args;

use super::named::{KeyArgs, described};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::{Out, note},
        people::{Confirm, Printed, Reason, Repeat, ServiceArgs, Wait, details},
    },
    pb,
};

/// End a key for good
///
/// Asks first, naming the key; without a terminal it wants --yes. Prints the key as it is then.
/// When this returns, no VerifyKey that is sent afterwards is answered VALID, at any replica.
/// A repeat does no harm, and waits again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key revoke key_1 --reason leaked --comment 'found in a public repository'
  portcullis key revoke key_1 --yes")]
pub(super) struct Revoke {
    #[command(flatten)]
    key: KeyArgs,

    /// Why [default: other]
    #[arg(long, value_enum, value_name = "REASON")]
    reason: Option<Reason>,

    /// What else is to be known, at most 1,024 characters
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,

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

impl Revoke {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { key, reason, comment, etag, confirm, wait, printed, service } = self;
        key.check()?;
        confirm.can_ask("revoking a key")?;
        let repeat = if etag.is_empty() { Repeat::Safe } else { Repeat::Unsafe };
        let answer = block_on(async {
            let session = service.connect().await?;
            let named = key.find(&session).await?;
            named.must_be_sure(confirm.must_ask())?;
            if confirm.must_ask() {
                let key = named.get(&session).await?;
                confirm.ask(&format!("Revoke {} for good? This cannot be undone.", described(&key)))?;
            }
            let request = pb::RevokeKeyRequest {
                application_id: named.application_id,
                key_id: named.key_id,
                reason: reason.map_or(0, i32::from),
                comment,
                etag,
                wait: wait.map_or(0, i32::from),
            };
            session.change::<_, pb::RevokeKeyResponse>("KeyService/RevokeKey", &request, repeat).await
        })?;
        if printed.json() {
            out.line(&answer.json()?)?;
        } else {
            let key = answer.message.key.unwrap_or_default();
            out.line(&details(&key, &printed.look()?))?;
            note(&format!("{} is revoked, and refused {}", described(&key), extent(wait)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where it is refused by now.
fn extent(wait: Option<Wait>) -> &'static str {
    match wait {
        None | Some(Wait::Everywhere) => "everywhere",
        Some(Wait::Replicas) => "by every replica; who keeps answers may keep a VALID for its cache_ttl",
        Some(Wait::None) => "as replicas follow: nobody was waited for",
    }
}
