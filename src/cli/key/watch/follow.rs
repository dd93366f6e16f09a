use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use super::to::To;
use crate::{
    cli::{
        failure::{Failure, said},
        out::note,
        people::Session,
    },
    client::CallFailed,
    pb,
};

/// So many attempts in a row without an item between them.
const ATTEMPTS: u32 = 10;
const LONGEST: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_millis(250);

/// A watch that outlives its streams.
pub(super) struct Follow {
    /// With the token of the last item.
    request: pb::WatchRevocationsRequest,
    to: To,
    left: Option<u64>,
    /// How often in a row.
    failed: u32,
}

impl Follow {
    pub(super) fn new(request: pb::WatchRevocationsRequest, to: To, left: Option<u64>) -> Self {
        Self { request, to, left, failed: 0 }
    }

    /// What is still on its way is where it goes.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        self.to.end()
    }

    pub(super) async fn run(&mut self, session: &Session) -> Result<(), Failure> {
        while self.left != Some(0) {
            match self.stream(session).await {
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
                        return Err(self.to.refused(status));
                    }
                    note(&format!("the stream broke off ({}); going on where it was", said(&status)));
                }
                Err(Ended::Call(CallFailed::Status(status))) => return Err(self.to.refused(status)),
                Err(Ended::Call(failed)) => return Err(failed.into()),
                Err(Ended::Here(failure)) => return Err(failure),
            }
            if self.left != Some(0) {
                tokio::time::sleep(wait(self.failed)).await;
            }
        }
        Ok(())
    }

    async fn stream(&mut self, session: &Session) -> Result<(), Ended> {
        let mut stream = session.stream("KeyService/WatchRevocations", &self.request).await?;
        while self.left != Some(0) {
            let Some(bytes) = stream.message().await.map_err(CallFailed::Status)? else { break };
            let item = pb::WatchRevocationsResponse::decode(bytes.clone()).map_err(|e| {
                Failure::Failed(format!("an item does not read ({e}): is the server of another version?"))
            })?;
            self.failed = 0;
            if self.to.put(session, &item, bytes)? {
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

fn wait(failed: u32) -> Duration {
    (SHORTEST * 2_u32.pow(failed.min(8))).min(LONGEST)
}
