use std::process::ExitCode;

use clap::Args;
use secrecy::ExposeSecret as _;

use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{AppArgs, Environment, Printed, SECRET_IN_ARGUMENT, ServiceArgs, details, read_secret},
    },
    pb::{self, verify_key_request::Subject},
};

/// Ask whether a secret is good
///
/// Reads the secret from standard input, or asks for it without showing it; never from an
/// argument, which others can see in the list of processes. Prints the verdict and what is known
/// of the key. A VALID spends of the key's limits, but with --dry-run nothing does. The exit code
/// is 0 only for VALID; 1 also where the answer is not known.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  printf '%s' \"$secret\" | portcullis key verify --permission tasks:read
  portcullis key verify --dry-run
  portcullis key verify --key-id key_1 --dry-run --ip 192.0.2.7")]
pub(super) struct Verify {
    /// No secret belongs here
    #[arg(hide = true, value_name = "SECRET", allow_hyphen_values = true)]
    secrets: Vec<String>,

    /// Ask about a key by its id, with --dry-run: who helps others has no secret
    #[arg(long, value_name = "KEY", requires = "dry_run")]
    key_id: Option<String>,

    /// What it must be allowed to do; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Vec<String>,

    /// Where it is to be good [default: live]
    #[arg(long, value_enum, value_name = "ENVIRONMENT")]
    environment: Option<Environment>,

    /// The address that it is used from
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    ip: String,

    /// The web page that it is used by
    #[arg(long, value_name = "ORIGIN", default_value = "", hide_default_value = true)]
    referrer: String,

    /// What it is used for
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    resource: String,

    /// What a VALID spends of each limit
    #[arg(long, value_name = "N", default_value_t = 1)]
    cost: i64,

    /// Say all that would be refused; spend and count nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    app: AppArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Verify {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        if !self.secrets.is_empty() {
            return Err(Failure::usage(SECRET_IN_ARGUMENT));
        }
        let subject = match self.key_id {
            Some(key_id) => Subject::KeyId(key_id),
            None => Subject::Secret(read_secret()?.expose_secret().to_owned()),
        };
        let request = pb::VerifyKeyRequest {
            subject: Some(subject),
            application_id: self.app.id_if_given().unwrap_or_default(),
            environment: self.environment.map_or(0, i32::from),
            required_permissions: self.permissions,
            client_ip: self.ip,
            referrer: self.referrer,
            resource: self.resource,
            cost: self.cost,
            min_revision: 0,
            dry_run: self.dry_run,
        };
        let answer = block_on(async {
            let session = self.service.connect().await?;
            // A repeat could spend twice, where the first answer was lost.
            session.read_once::<_, pb::VerifyKeyResponse>("KeyService/VerifyKey", &request).await
        })?;
        if self.printed.json() {
            out.line(&answer.json()?)?;
        } else {
            out.line(&details(&answer.message, &self.printed.look()?))?;
        }
        let is_valid = answer.message.verdict() == pb::Verdict::Valid;
        Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
