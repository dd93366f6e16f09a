use std::{num::NonZeroU64, process::ExitCode, time::Duration};

use bytes::Bytes;
use clap::Args;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    args::{ConnectionArgs, RequestArgs, block_on, duration},
    failure::{Failure, Refused},
    out::Out,
};
use crate::client::{CallFailed, Client, Method, Proof};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Call any method of the service
///
/// Signs the request as the method needs it, calls, and prints the answer as JSON. Of a
/// method that streams, prints each message on a line as it comes, until the server ends,
/// ctrl-C, or --max-messages. Nothing is retried. Exit code: 0 done, 1 the call failed (why
/// is on standard error), 2 it could not be tried as asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis call KeyService/GetKey -d '{\"application_id\": \"app_1\", \"key_id\": \"key_1\"}'
  portcullis call KeyService/WatchRevocations")]
pub(super) struct Call {
    #[command(flatten)]
    request: RequestArgs,

    #[command(flatten)]
    connection: ConnectionArgs,

    /// Sign the request also where a token would do
    #[arg(long)]
    signed: bool,

    /// How long to wait for the answer of a method that gives one [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,

    /// End a stream after so many messages
    #[arg(long, value_name = "N")]
    max_messages: Option<NonZeroU64>,
}

impl Call {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let (method, message) = self.request.read()?;
        if method.streams_answers() && self.timeout.is_some() {
            return Err(Failure::usage("--timeout is for methods with one answer: end a stream by --max-messages"));
        }
        if !method.streams_answers() && self.max_messages.is_some() {
            return Err(Failure::usage("--max-messages is for methods that stream, and this one gives one answer"));
        }
        let proof = if self.signed { Proof::SignedRequest } else { Proof::AsNeeded };
        let credentials = if proof.needs_credentials(&method) {
            Some(self.connection.credentials.read()?)
        } else if self.connection.endpoint.is_given() {
            None
        } else {
            self.connection.credentials.read_if_named()?
        };
        let endpoint = self.connection.endpoint.or_of(credentials.as_ref())?;
        block_on(async {
            let channel = self.connection.tls.connect(&endpoint).await?;
            let client = Client::new(channel, credentials);
            if method.streams_answers() {
                let ended = follow(&client, &method, message, proof, self.max_messages, &mut out);
                tokio::select! {
                    ended = ended => ended?,
                    Ok(()) = tokio::signal::ctrl_c() => {}
                }
            } else {
                let answer = client.unary(&method, message, proof, self.timeout.unwrap_or(TIMEOUT)).await;
                let answer = answer.map_err(|failed| refused(failed, &method))?;
                out.line(&read(&method, answer, true)?)?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

async fn follow(
    client: &Client,
    method: &Method,
    message: Bytes,
    proof: Proof,
    max_messages: Option<NonZeroU64>,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut left = max_messages.map(NonZeroU64::get);
    let mut stream = client.stream(method, message, proof).await?;
    while left != Some(0) {
        let Some(answer) = stream.message().await.map_err(Failure::Status)? else {
            break;
        };
        out.line(&read(method, answer, false)?)?;
        left = left.map(|n| n - 1);
    }
    Ok(())
}

/// What may be done is repeated under its request_id, where the method has one.
fn refused(failed: CallFailed, method: &Method) -> Failure {
    match failed {
        CallFailed::Status(status) if method.takes_request_id() && is_unknown(&status) => {
            let note = Some("with the same request_id it is never done twice".to_owned());
            Failure::Refused(Box::new(Refused { status, flag: |_| None, note }))
        }
        failed => failed.into(),
    }
}

fn is_unknown(status: &Status) -> bool {
    status.get_error_details().error_info().is_some_and(|info| info.reason == "COMMIT_UNKNOWN")
}

fn read(method: &Method, answer: Bytes, pretty: bool) -> Result<String, Failure> {
    method.answer(answer, pretty).map_err(|e| Failure::Failed(e.to_string()))
}

impl From<CallFailed> for Failure {
    fn from(failed: CallFailed) -> Self {
        match failed {
            CallFailed::Status(status) => Self::Status(status),
            CallFailed::NoCredentials(_) => Self::usage(failed),
            CallFailed::Signing(_) => Self::Failed(failed.to_string()),
            CallFailed::Ended(_) => Self::Unreachable(failed.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::ErrorDetails;

    use super::*;
    use crate::client::Schema;

    #[test]
    fn a_request_id_is_named_to_those_who_can_give_one() {
        let mut details = ErrorDetails::new();
        details.set_error_info("COMMIT_UNKNOWN", "portcullis", []);
        let status = Status::with_error_details(Code::Unavailable, "it may have been written", details);
        for (name, takes_one) in [("KeyService/CreateKey", true), ("KeyService/RevokeKey", false)] {
            let method = Schema::new().method(name).expect(name);
            let failure = refused(CallFailed::Status(status.clone()), &method);
            let told = matches!(&failure, Failure::Refused(refused) if refused.note.as_deref().is_some_and(|note| note.contains("same request_id")));
            assert_eq!(told, takes_one, "{name}: {failure:?}");
        }
    }
}
