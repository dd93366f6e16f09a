//! One way to call: typed messages there and back, signed anew at each attempt, repeated where a
//! repeat does no harm, and refused with what to do next.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use super::Progress;
use crate::{
    cli::{
        failure::{Failure, Refused, said},
        flags::flag,
        out::note,
    },
    client::{CallFailed, Client, Endpoint, Method, Proof, Schema},
};

/// UNAVAILABLE may pass, and may mean done. How often it is tried, all in all.
const ATTEMPTS: u32 = 4;
/// A server may ask for a longer wait: whoever types waits no longer.
const LONGEST: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(250);

/// What a second attempt of the same call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Repeat<'a> {
    /// Nothing more than the first: a read, or a change that is the same twice.
    Safe,
    /// The same, since it has this request_id.
    Named(&'a str),
    /// It would be refused, and hide how the first one ended.
    Unsafe,
}

#[derive(Debug)]
pub(in crate::cli) struct Session {
    client: Client,
    schema: Schema,
    endpoint: Endpoint,
    timeout: Duration,
}

/// What was answered, as a message and as it came.
pub(in crate::cli) struct Answer<A> {
    pub(in crate::cli) message: A,
    method: Method,
    bytes: Bytes,
}

impl<A> Answer<A> {
    /// As `portcullis call` prints it.
    pub(in crate::cli) fn json(&self) -> Result<String, Failure> {
        self.method.answer(self.bytes.clone(), true).map_err(|e| Failure::Failed(e.to_string()))
    }
}

impl Session {
    pub(super) fn new(client: Client, endpoint: Endpoint, timeout: Duration) -> Self {
        Self { client, schema: Schema::new(), endpoint, timeout }
    }

    pub(in crate::cli) fn client(&self) -> &Client {
        &self.client
    }

    pub(in crate::cli) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A read.
    pub(in crate::cli) async fn read<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<Answer<A>, Failure> {
        self.call(method, request, Repeat::Safe).await
    }

    /// A read that spends something: it is not repeated by itself.
    pub(in crate::cli) async fn read_once<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<Answer<A>, Failure> {
        self.call(method, request, Repeat::Unsafe).await
    }

    /// A change, which may wait until all replicas answer by it.
    pub(in crate::cli) async fn change<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
        repeat: Repeat<'_>,
    ) -> Result<Answer<A>, Failure> {
        Progress::waiting("until all replicas answer by it", self.call(method, request, repeat)).await
    }

    async fn call<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
        repeat: Repeat<'_>,
    ) -> Result<Answer<A>, Failure> {
        let method = self.schema.method(method).map_err(Failure::usage)?;
        let message = Bytes::from(request.encode_to_vec());
        let mut attempt = 1;
        loop {
            let answer = self.client.unary(&method, message.clone(), Proof::AsNeeded, self.timeout).await;
            let status = match answer {
                Ok(bytes) => return read(method, bytes),
                Err(CallFailed::Status(status)) => status,
                Err(failed) => return Err(failed.into()),
            };
            if status.code() != Code::Unavailable || repeat == Repeat::Unsafe || attempt == ATTEMPTS {
                return Err(refused(status, repeat));
            }
            let wait = wait(&status, attempt);
            attempt += 1;
            note(&format!("{}; asking again in {wait:?}, attempt {attempt} of {ATTEMPTS}", said(&status)));
            tokio::time::sleep(wait).await;
        }
    }

    pub(in crate::cli) async fn stream<Q: Message>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<Streaming<Bytes>, CallFailed> {
        let method = self.schema.method(method).map_err(|e| Status::unimplemented(e.to_string()))?;
        self.client.stream(&method, request.encode_to_vec().into(), Proof::AsNeeded).await
    }

    /// A message in one line of JSON.
    pub(in crate::cli) fn json(&self, name: &str, bytes: Bytes) -> Result<String, Failure> {
        self.schema.json(name, bytes, false).map_err(|e| Failure::Failed(e.to_string()))
    }
}

fn read<A: Message + Default>(method: Method, bytes: Bytes) -> Result<Answer<A>, Failure> {
    let message = A::decode(bytes.clone())
        .map_err(|e| Failure::Failed(format!("the answer does not read ({e}): is the server of another version?")))?;
    Ok(Answer { message, method, bytes })
}

fn wait(status: &Status, attempt: u32) -> Duration {
    let asked = status.get_error_details().retry_info().and_then(|retry| retry.retry_delay);
    asked.unwrap_or(SHORTEST * 2_u32.pow(attempt)).clamp(SHORTEST, LONGEST)
}

/// Of a call that may have been carried out, what is known of that.
fn refused(status: Status, repeat: Repeat<'_>) -> Failure {
    let may_be_done = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
    let note = match repeat {
        Repeat::Named(id) if may_be_done => Some(format!(
            "the same command with --request-id {id} goes on with this attempt: it finds out whether it was done, and never \
             does it twice"
        )),
        _ => None,
    };
    Failure::Refused(Box::new(Refused { status, flag, note }))
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_wait_is_what_the_server_asks_for_within_bounds() {
        let asked = |delay| {
            let details = ErrorDetails::with_retry_info(Some(delay));
            wait(&Status::with_error_details(Code::Unavailable, "", details), 1)
        };
        assert_eq!(asked(Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(asked(Duration::from_secs(3600)), LONGEST);
        assert_eq!(asked(Duration::ZERO), SHORTEST);
        let bare = Status::unavailable("");
        assert_eq!([1, 2, 3].map(|attempt| wait(&bare, attempt).as_millis()), [500, 1000, 2000]);
    }
}
