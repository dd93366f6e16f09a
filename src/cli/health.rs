use std::{process::ExitCode, time::Duration};

use clap::Args;
use tonic::{Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::{
    args::{TlsArgs, block_on, duration},
    failure::Failure,
    out::Out,
};
use crate::client::{Endpoint, told};

/// Ask the service whether it serves
///
/// Prints the status of grpc.health.v1.Health/Check: SERVING or NOT_SERVING. Needs no
/// credentials. The exit code is 0 only for SERVING, so that it can be a container's probe.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis health --endpoint http://127.0.0.1:50051")]
pub(super) struct Health {
    /// The service to ask for, as portcullis.v1.KeyService [default: the server as a whole]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,

    /// Where the service is: https://host:port, or http://host:port on this machine
    #[arg(long, value_name = "URL", env = "PORTCULLIS_ENDPOINT", hide_env_values = true)]
    endpoint: Endpoint,

    #[command(flatten)]
    tls: TlsArgs,

    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,
}

impl Health {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let status = block_on(self.ask())?;
        out.line(status.as_str_name())?;
        Ok(if status == ServingStatus::Serving { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn ask(self) -> Result<ServingStatus, Failure> {
        let channel = self.tls.connect(&self.endpoint).await?;
        let mut health = HealthClient::new(channel.clone());
        let request = Request::new(HealthCheckRequest { service: self.service });
        let answer = tokio::time::timeout(self.timeout, health.check(request)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer.into_inner().status()),
            Ok(Err(status)) => Err(told(&channel, status).await.into()),
            Err(_) => Err(Failure::Status(Status::deadline_exceeded(format!("no answer within {:?}", self.timeout)))),
        }
    }
}
