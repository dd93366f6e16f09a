use std::process::ExitCode;

use clap::Args;

use super::{
    secret::{Made, SecretArgs},
    settings::KeySettings,
};
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::{Out, note},
        people::{AppArgs, Environment, KeyKind, Printed, Repeat, Retry, ServiceArgs, Span, Wait, ttl},
    },
    pb::{self, create_key_request::Expiration},
};

/// Make a key
///
/// Prints the key and its secret, which is shown this once: only its SHA-256 is kept. With
/// --secret-only prints the secret and nothing else, to capture it. Where the server does not
/// answer, asks again with the same request_id, which never makes a second key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key create --name 'deploy bot' --permission tasks:read,tasks:write --ttl 90d
  secret=$(portcullis key create --name ci --secret-only)
  portcullis key create --name ci --json | jq -r .secret")]
pub(super) struct Create {
    /// What it is called, 1 to 128 characters
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Publishable keys may be seen by anybody, and need --allow-referrer or --allow-ip [default: secret]
    #[arg(long, value_enum, value_name = "TYPE")]
    r#type: Option<KeyKind>,

    /// Where it is good [default: live]
    #[arg(long, value_enum, value_name = "ENVIRONMENT")]
    environment: Option<Environment>,

    /// How long it is good: 12h, 90d
    #[arg(long, value_name = "DURATION", value_parser = ttl, conflicts_with = "expires")]
    ttl: Option<Span>,

    #[command(flatten)]
    settings: KeySettings,

    #[command(flatten)]
    secret: SecretArgs,

    #[command(flatten)]
    retry: Retry,

    /// How long to wait until it is good at every replica [default: everywhere]
    #[arg(long, value_enum, value_name = "WAIT")]
    wait: Option<Wait>,

    #[command(flatten)]
    app: AppArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Create {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { name, r#type, environment, ttl, settings, secret, retry, wait, app, printed, service } = self;
        let (request_id, application_id) = (retry.id()?, app.id()?);
        let mut key = pb::Key::default();
        settings.put(&mut key);
        let request = pb::CreateKeyRequest {
            application_id,
            name,
            description: key.description,
            r#type: r#type.map_or(0, i32::from),
            environment: environment.map_or(0, i32::from),
            permissions: key.permissions,
            ip_allowlist: key.ip_allowlist,
            referrer_allowlist: key.referrer_allowlist,
            resource_allowlist: key.resource_allowlist,
            rate_limits: key.rate_limits,
            quotas: key.quotas,
            labels: key.labels,
            auto_renew: key.auto_renew,
            rotation_period: key.rotation_period,
            rotation_recipient_kid: key.rotation_recipient_kid,
            request_id: request_id.clone(),
            wait: wait.map_or(0, i32::from),
            expiration: ttl.map(Expiration::Ttl).or(key.expire_time.map(Expiration::ExpireTime)),
        };
        let made = block_on(async {
            let session = service.connect().await?;
            let repeat = Repeat::Named(&request_id);
            let answer = session.change::<_, pb::CreateKeyResponse>("KeyService/CreateKey", &request, repeat).await?;
            let json = answer.json()?;
            let pb::CreateKeyResponse { key, secret, .. } = answer.message;
            Ok(Made { key: key.unwrap_or_default(), secret, json })
        })?;
        let hint = made.key.permissions.is_empty().then(|| without_permissions(&made.key));
        secret.show(made, &printed, &mut out)?;
        if let Some(hint) = hint {
            note(&hint);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Who may grant everything and names nothing makes such a key: full access is not handed on unasked.
fn without_permissions(key: &pb::Key) -> String {
    let pb::Key { key_id, application_id, .. } = key;
    format!(
        "hint: the key has no permissions: a VerifyKey with required_permissions answers PERMISSION_MISSING; give it some by \
         `portcullis key update {key_id} --app {application_id} --permission tasks:read`, as many as it needs"
    )
}
