use std::{process::ExitCode, time::Duration};

use clap::Args;
use tonic::{Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::{
    args::{CredentialsArgs, EndpointArgs, TlsArgs, block_on, duration},
    failure::Failure,
    out::Out,
};
use crate::client::{Endpoint, told};

/// Ask the service whether it serves
///
/// Prints the status of grpc.health.v1.Health/Check: SERVING or NOT_SERVING. Needs no
/// credentials; without --endpoint their file says where the service is, and without both it is
/// looked for at http://127.0.0.1:50051. The exit code is 0 only for SERVING, so that it can be a
/// container's probe.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis health --endpoint http://127.0.0.1:50051")]
pub(super) struct Health {
    /// The service to ask for, as portcullis.v1.KeyService [default: the server as a whole]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,

    #[command(flatten)]
    credentials: CredentialsArgs,

    #[command(flatten)]
    endpoint: EndpointArgs,

    #[command(flatten)]
    tls: TlsArgs,

    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,
}

/// Where `serve` and `dev` listen unless they are told otherwise.
const HERE: &str = "http://127.0.0.1:50051";

impl Health {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let status = block_on(self.ask())?;
        out.line(status.as_str_name())?;
        Ok(if status == ServingStatus::Serving { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn ask(self) -> Result<ServingStatus, Failure> {
        let endpoint = endpoint(self.endpoint, &self.credentials)?;
        let channel = self.tls.connect(&endpoint).await?;
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

/// As with any other command; and nobody needs credentials to ask here.
fn endpoint(given: EndpointArgs, credentials: &CredentialsArgs) -> Result<Endpoint, Failure> {
    if given.is_given() {
        return given.or_of(None);
    }
    match credentials.read_if_named()? {
        Some(credentials) => given.or_of(Some(&credentials)),
        None => HERE.parse().map_err(Failure::usage),
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_server_is_looked_for_where_it_listens_by_default() {
        let program = Cli::command();
        for name in ["serve", "dev"] {
            let command = program.find_subcommand(name).expect(name);
            let listen = command.get_arguments().find(|arg| arg.get_long() == Some("listen")).expect("--listen");
            let [address] = listen.get_default_values() else { panic!("{name}: a default") };
            assert_eq!(HERE.strip_prefix("http://"), address.to_str(), "{name}");
        }
    }
}
