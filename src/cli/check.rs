use std::process::ExitCode;

use clap::{Args, CommandFactory};
use serde_json::json;

use super::{Cli, failure::Failure, out::Out, serve::block_on};
use crate::{
    check::{self, Finding, Level},
    clock::Clock,
    config::{DatabaseArgs, ListenArgs, NotifyArgs, ServeArgs, secrets_in},
    grpc::{ListenRefused, TlsRemark},
    notify::{SettingsRefused, vault::Vault},
    serve::open_files,
    store::Look,
    telemetry,
};

/// Look whether `serve` could start with these settings, and keep what it promises
///
/// Looks at the settings, the files that they name, how many may be open, the database, its schema and what it
/// says of itself, the clock, the disk, the secrets of webhooks, and whether there is an admin. Changes nothing,
/// and needs no server stopped. Exit code: 0 all is well, 1 there are warnings, 2 something fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis check --config /etc/portcullis.toml")]
pub(super) struct Check {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    #[command(flatten)]
    telemetry: telemetry::Settings,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let found = block_on(async { Ok(self.look().await) })?;
        let worst = found.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        out.line(&if self.json { json(&found, worst) } else { table(&found) })?;
        Ok(ExitCode::from(match worst {
            Level::Ok => 0,
            Level::Warn => 1,
            Level::Fail => 2,
        }))
    }

    async fn look(&self) -> Vec<Finding> {
        let clock = Clock::system();
        let mut found = self.settings();
        found.extend(self.settings_file());
        found.extend(self.listening(&clock).await);
        found.push(check::open_files(open_files::most(), self.listen.listen().ceilings.connections));
        found.extend(self.notify.private_files().filter_map(|(name, path)| check::private_file(name, path)));
        let vault = self.notify.secrets_key_file().map_or(Some(Vault::default()), |path| Vault::open_file(path).ok());
        match self.database.url() {
            Ok(url) => {
                let look = Look::take(&url, &clock).await;
                let strict = self.serve.pace().strict;
                found.extend(check::database(look.as_ref(), &url.to_string(), strict, vault.as_ref()));
            }
            Err(error) => found.push(Finding::fail("database", error.to_string(), "correct --database-url")),
        }
        found
    }

    /// Those that say something together, and what the files that they name hold.
    fn settings(&self) -> Vec<Finding> {
        let fail = |error: SettingsRefused| Finding::fail("settings", error.to_string(), "correct what it names");
        match self.notify.settings(None) {
            Ok(_) => vec![Finding::ok("settings", "they read, and go together")],
            Err(refused) => refused.into_iter().map(fail).collect(),
        }
    }

    /// A file of settings may be for everybody to read, unless there is a secret among them.
    fn settings_file(&self) -> Option<Finding> {
        const OF: &str = "settings file";
        let path = self.database.settings_file()?;
        let secrets = secrets_in(&<Cli as CommandFactory>::command(), path);
        Some(match check::private_file(OF, path)? {
            Finding { level: Level::Warn, .. } if secrets.is_empty() => {
                Finding::ok(OF, format!("others may read {}, and there is no secret in it", path.display()))
            }
            Finding { level: Level::Warn, said, advice, .. } => Finding {
                level: Level::Warn,
                of: OF,
                said: format!("{said}, and it holds {}", secrets.join(", ")),
                advice,
            },
            found => found,
        })
    }

    /// By what `serve` itself goes by.
    async fn listening(&self, clock: &Clock) -> Vec<Finding> {
        const OF: &str = "listening";
        let listen = self.listen.listen();
        let address = listen.address;
        let key = listen.tls.as_ref().and_then(|tls| check::private_file("private key", &tls.key));
        let found = match listen.look(clock).await {
            Ok(Some((end_time, remarks))) => {
                let own = check::certificate(end_time, clock.now());
                [own].into_iter().chain(remarks.iter().map(remarked)).collect()
            }
            Ok(None) if address.ip().is_loopback() => {
                vec![Finding::ok(OF, format!("{address} without TLS, on this machine only"))]
            }
            Ok(None) => {
                let said = format!("{address} without TLS beyond loopback, as --plaintext-beyond-loopback asks for");
                vec![Finding::warn(
                    OF,
                    said,
                    "be sure that something else encrypts each way there, or give --tls-cert and --tls-key",
                )]
            }
            Err(refused) => refused.iter().map(refused_too).collect(),
        };
        key.into_iter().chain(found).collect()
    }
}

fn refused_too(error: &ListenRefused) -> Finding {
    let of = if matches!(error, ListenRefused::Tls(_)) { "certificate" } else { "listening" };
    Finding::fail(of, error.to_string(), "do what it says: `serve` refuses it, too")
}

fn remarked(remark: &TlsRemark) -> Finding {
    Finding::warn("certificate", remark.to_string(), remark.advice())
}

fn table(found: &[Finding]) -> String {
    let width = found.iter().map(|finding| finding.of.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for Finding { level, of, said, advice } in found {
        lines.push(format!("{level:<4}  {of:<width$}  {said}"));
        lines.extend(advice.as_ref().map(|advice| format!("{:<width$}        → {advice}", "")));
    }
    lines.join("\n")
}

fn json(found: &[Finding], worst: Level) -> String {
    let one = |Finding { level, of, said, advice }: &Finding| json!({"level": level.to_string(), "check": of, "message": said, "advice": advice});
    json!({"result": worst.to_string(), "findings": found.iter().map(one).collect::<Vec<_>>()}).to_string()
}
