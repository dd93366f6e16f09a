use std::{process::ExitCode, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use secrecy::ExposeSecret as _;

use super::{
    args::{CredentialsArgs, duration},
    failure::Failure,
    out::Out,
};
use crate::client::{SigningFailed, sign_token_now};

/// Make a signed token, for read-only methods and the hot path
///
/// Prints a JWT that is good as `authorization: Bearer …` until it ends, for every method
/// that takes a token: VerifyKey, WatchRevocations, Get and List. Whoever has it can make
/// these calls; mutations want a signed request each.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  grpcurl -rpc-header \"authorization: Bearer $(portcullis token --lifetime 10m)\" \\
    -d '{\"secret\": \"sk_live_…\"}' -plaintext 127.0.0.1:50051 portcullis.v1.KeyService/VerifyKey")]
pub(super) struct Token {
    #[command(flatten)]
    credentials: CredentialsArgs,

    /// Whom the token is for [default: the credentials file's audience]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    audience: Option<String>,

    /// How long it is good, at most 1h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    lifetime: Duration,
}

impl Token {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let credentials = self.credentials.read()?;
        let audience = self.audience.as_deref().unwrap_or(&credentials.account().audience);
        let token = sign_token_now(&credentials, audience, self.lifetime).map_err(|e| match e {
            SigningFailed::Lifetime => Failure::usage(e),
            _ => Failure::Failed(e.to_string()),
        })?;
        out.line(token.expose_secret())?;
        Ok(ExitCode::SUCCESS)
    }
}
