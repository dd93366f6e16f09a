use std::process::ExitCode;

use clap::Args;

use super::{
    named::{KeyArgs, Named, described},
    secret::{Made, SecretArgs},
};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::{Out, note},
        people::{Confirm, Moment, Printed, Repeat, Retry, ServiceArgs, Session, Span, Wait, moment, some_time, ttl},
    },
    pb::{self, rotate_key_request::Expiration},
};

/// Give a key a successor with a secret of its own
///
/// Prints the successor and its secret, which is shown this once. The old key stays good beside
/// it for the overlap, so that callers can move; without an overlap it ends at once, and that is
/// asked about first. Where the server does not answer, asks again with the same request_id,
/// which never makes a second successor.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key rotate key_1 --overlap 7d
  secret=$(portcullis key rotate key_1 --secret-only)
  portcullis key rotate key_1 --overlap 0s --yes")]
pub(super) struct Rotate {
    #[command(flatten)]
    key: KeyArgs,

    /// How long the old key stays good: 48h; 0s ends it at once [default: as its application says]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    overlap: Option<Span>,

    /// How long the successor is good: 90d [default: as the old key]
    #[arg(long, value_name = "DURATION", value_parser = ttl, conflicts_with = "expires")]
    ttl: Option<Span>,

    /// When the successor expires: 2027-01-31 (its beginning in UTC), or a time in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    expires: Option<Moment>,

    /// The etag that `get` showed: be refused where somebody changed it since
    #[arg(long, value_name = "ETAG", default_value = "", hide_default_value = true)]
    etag: String,

    #[command(flatten)]
    confirm: Confirm,

    #[command(flatten)]
    secret: SecretArgs,

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

const WITHOUT_OVERLAP: &str = "rotating without an overlap ends the old key at once, which";

impl Rotate {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { key, overlap, ttl, expires, etag, confirm, secret, retry, wait, printed, service } = self;
        key.check()?;
        let request_id = retry.id()?;
        if overlap.as_ref().is_some_and(is_none) {
            confirm.can_ask(WITHOUT_OVERLAP)?;
        }
        let (made, old) = block_on(async {
            let session = service.connect().await?;
            let named = key.find(&session).await?;
            sure(&named, overlap.as_ref(), &confirm, &session).await?;
            let request = pb::RotateKeyRequest {
                application_id: named.application_id,
                key_id: named.key_id,
                overlap,
                expiration: ttl.map(Expiration::Ttl).or(expires.map(Expiration::ExpireTime)),
                etag,
                request_id: request_id.clone(),
                wait: wait.map_or(0, i32::from),
            };
            let repeat = Repeat::Named(&request_id);
            let answer = session.change::<_, pb::RotateKeyResponse>("KeyService/RotateKey", &request, repeat).await?;
            let json = answer.json()?;
            let pb::RotateKeyResponse { key, secret, rotated_key, .. } = answer.message;
            Ok((Made { key: key.unwrap_or_default(), secret, json }, rotated_key.unwrap_or_default()))
        })?;
        secret.show(made, &printed, &mut out)?;
        match &old.overlap_end_time {
            Some(end) if old.state() == pb::KeyState::Active => {
                note(&format!("{} stays good until {end}", described(&old)))
            }
            _ => note(&format!("{} is good no longer", described(&old))),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_none(overlap: &Span) -> bool {
    overlap.seconds == 0 && overlap.nanos == 0
}

/// Asks where the old key would end at once: by the flag, or as its application says.
async fn sure(named: &Named, overlap: Option<&Span>, confirm: &Confirm, session: &Session) -> Result<(), Failure> {
    let ends = match overlap {
        Some(overlap) => is_none(overlap),
        // With --yes, whatever the application says is meant.
        None if !confirm.must_ask() => false,
        None => {
            let request = pb::GetApplicationRequest { application_id: named.application_id.clone() };
            let answer =
                session.read::<_, pb::GetApplicationResponse>("ApplicationService/GetApplication", &request).await?;
            answer.message.application.is_some_and(|application| application.overlap.as_ref().is_none_or(is_none))
        }
    };
    if !ends {
        return Ok(());
    }
    named.must_be_sure(confirm.must_ask())?;
    if confirm.must_ask() {
        confirm.can_ask(WITHOUT_OVERLAP)?;
        let key = named.get(session).await?;
        confirm.ask(&format!("Rotate {} so that it ends at once? This cannot be undone.", described(&key)))?;
    }
    Ok(())
}
