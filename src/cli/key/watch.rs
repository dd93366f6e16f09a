use std::{num::NonZeroU64, process::ExitCode, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    cli::{
        args::block_on,
        failure::{Failure, Refused, said},
        flags::flag,
        out::{Out, note},
        people::{Look, Printed, ServiceArgs, Session, line},
    },
    client::CallFailed,
    pb::{self, watch_revocations_response::Item},
};

/// So many attempts in a row without an item between them.
const ATTEMPTS: u32 = 10;
const LONGEST: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_millis(250);

/// Follow what stops being good
///
/// Prints each revocation on a line as it comes: its time, its cause, the key and the revision.
/// Goes on by itself where the stream ends or the server is away for a while: nothing is missed
/// meanwhile. Ends at ctrl-C, and after --max-messages.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key watch
  portcullis key watch --app app_1 --json | while read -r item; do echo \"$item\"; done")]
pub(super) struct Watch {
    /// Only of this application; may be given several times [default: all that you see]
    #[arg(long = "app", value_name = "APP", value_delimiter = ',')]
    apps: Vec<String>,

    /// Go on behind the item that this resume_token came with [default: from now]
    // An empty one would begin anew, and what was told meanwhile would be missed.
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    resume: Option<String>,

    /// Print bookmarks too: all up to their revision is told
    #[arg(long)]
    bookmarks: bool,

    /// End after so many
    #[arg(long, value_name = "N")]
    max_messages: Option<NonZeroU64>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Watch {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let look = self.printed.look()?;
        let (printed, service) = (self.printed, self.service);
        let mut follow = Follow {
            request: pb::WatchRevocationsRequest {
                application_ids: self.apps,
                resume_token: self.resume.unwrap_or_default(),
            },
            bookmarks: self.bookmarks,
            left: self.max_messages.map(NonZeroU64::get),
            failed: 0,
        };
        block_on(async {
            let session = service.connect().await?;
            tokio::select! {
                ended = follow.run(&session, printed.json(), look, &mut out) => ended,
                Ok(()) = tokio::signal::ctrl_c() => Ok(()),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Follow {
    /// With the token of the last item.
    request: pb::WatchRevocationsRequest,
    bookmarks: bool,
    left: Option<u64>,
    /// How often in a row.
    failed: u32,
}

impl Follow {
    async fn run(&mut self, session: &Session, json: bool, look: Look, out: &mut Out) -> Result<(), Failure> {
        while self.left != Some(0) {
            match self.stream(session, json, look, out).await {
                // A stream has an end of its own, so that its caller is asked anew who it is.
                Ok(()) if self.failed < ATTEMPTS => self.failed += 1,
                Ok(()) => {
                    return Err(Failure::Failed(
                        "the server ends each stream at once: is it another version?".to_owned(),
                    ));
                }
                Err(Ended::Call(CallFailed::Status(status))) if may_pass(&status) => {
                    self.failed += 1;
                    if self.failed >= ATTEMPTS {
                        return Err(refused(status));
                    }
                    note(&format!("the stream broke off ({}); going on where it was", said(&status)));
                }
                Err(Ended::Call(CallFailed::Status(status))) => return Err(refused(status)),
                Err(Ended::Call(failed)) => return Err(failed.into()),
                Err(Ended::Here(failure)) => return Err(failure),
            }
            if self.left != Some(0) {
                tokio::time::sleep(wait(self.failed)).await;
            }
        }
        Ok(())
    }

    async fn stream(&mut self, session: &Session, json: bool, look: Look, out: &mut Out) -> Result<(), Ended> {
        let mut stream = session.stream("KeyService/WatchRevocations", &self.request).await?;
        while self.left != Some(0) {
            let Some(bytes) = stream.message().await.map_err(CallFailed::Status)? else { break };
            let item = pb::WatchRevocationsResponse::decode(bytes.clone()).map_err(|e| {
                Failure::Failed(format!("an item does not read ({e}): is the server of another version?"))
            })?;
            self.failed = 0;
            let is_bookmark = matches!(item.item, None | Some(Item::Bookmark(_)));
            if !is_bookmark || self.bookmarks {
                let text = if json { session.json("WatchRevocationsResponse", bytes)? } else { line(&item, &look) };
                out.line(&text)?;
                self.left = self.left.map(|left| left - 1);
            }
            self.request.resume_token = item.resume_token;
        }
        Ok(())
    }
}

enum Ended {
    Call(CallFailed),
    Here(Failure),
}

impl From<CallFailed> for Ended {
    fn from(failed: CallFailed) -> Self {
        Self::Call(failed)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

/// The server is away, or the way to it; or this reader was slow, and goes on where it was.
fn may_pass(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::ResourceExhausted)
}

fn refused(status: Status) -> Failure {
    Failure::Refused(Box::new(Refused { status, flag, note: None }))
}

fn wait(failed: u32) -> Duration {
    (SHORTEST * 2_u32.pow(failed.min(8))).min(LONGEST)
}
