use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::{
    domain::network::IpRange,
    notify::{
        Settings, SettingsRefused,
        mail::{self, SmtpUrl},
        reach::Reach,
        vault::Vault,
    },
};

/// Whom to tell, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct NotifyArgs {
    /// Keys that webhooks' secrets are encrypted with: lines of 32 bytes in base64, such as
    /// `openssl rand -base64 32` prints. The first one encrypts, all of them decrypt. Without
    /// it no webhook can be made
    #[arg(long, env = "PORTCULLIS_SECRETS_KEY_FILE", value_name = "FILE", help_heading = "Webhooks and e-mail")]
    secrets_key_file: Option<PathBuf>,

    /// A network that webhooks may lead to although it is not public, such as 10.1.0.0/16.
    /// May be repeated
    #[arg(
        long = "webhook-allow",
        env = "PORTCULLIS_WEBHOOK_ALLOW",
        value_name = "CIDR",
        value_delimiter = ',',
        help_heading = "Webhooks and e-mail"
    )]
    webhook_allow: Vec<IpRange>,

    /// Take webhooks with http:// too: what is told then crosses the network in plain
    #[arg(long, env = "PORTCULLIS_WEBHOOK_HTTP", help_heading = "Webhooks and e-mail")]
    webhook_http: bool,

    /// Certificates, PEM, that webhooks' servers are believed by, besides the system's
    #[arg(long, env = "PORTCULLIS_WEBHOOK_CA", value_name = "FILE", help_heading = "Webhooks and e-mail")]
    webhook_ca: Option<PathBuf>,

    /// The mail server: smtp://USER@HOST:587 (with STARTTLS, but for loopback) or
    /// smtps://USER@HOST:465. Unset: no mail is sent
    #[arg(long, env = "PORTCULLIS_SMTP_URL", value_name = "URL", help_heading = "Webhooks and e-mail")]
    smtp_url: Option<SmtpUrl>,

    /// Who the mails are from
    #[arg(long, env = "PORTCULLIS_SMTP_FROM", value_name = "ADDRESS", help_heading = "Webhooks and e-mail")]
    smtp_from: Option<mail::Sender>,

    /// A file with the password of the mail server's user; or set PORTCULLIS_SMTP_PASSWORD
    #[arg(long, env = "PORTCULLIS_SMTP_PASSWORD_FILE", value_name = "FILE", help_heading = "Webhooks and e-mail")]
    smtp_password_file: Option<PathBuf>,

    // For the environment: on the command line everybody on the machine would see it.
    #[arg(long, env = "PORTCULLIS_SMTP_PASSWORD", hide = true, hide_env_values = true)]
    smtp_password: Option<SecretString>,

    /// Certificates, PEM, that the mail server is believed by, besides the system's
    #[arg(long, env = "PORTCULLIS_SMTP_CA", value_name = "FILE", help_heading = "Webhooks and e-mail")]
    smtp_ca: Option<PathBuf>,
}

impl NotifyArgs {
    /// The file of keys, where one is named.
    #[must_use]
    pub fn secrets_key_file(&self) -> Option<&Path> {
        self.secrets_key_file.as_deref()
    }

    /// The files with secrets in them that it names, and the settings that name them.
    pub fn private_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let named = [("secrets key", &self.secrets_key_file), ("mail password", &self.smtp_password_file)];
        named.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?)))
    }

    /// Reads the files that it names. `key_file` holds where no other is named.
    pub fn settings(&self, key_file: Option<PathBuf>) -> Result<Settings, SettingsRefused> {
        let vault = match self.secrets_key_file.clone().or(key_file) {
            Some(path) => Vault::open_file(&path)?,
            None => Vault::default(),
        };
        let roots = self.webhook_ca.as_ref().map(Settings::roots).transpose()?.unwrap_or_default();
        let reach = Reach { allowed: self.webhook_allow.clone(), http: self.webhook_http };
        Ok(Settings { vault, reach, roots, mail: self.mail()?, every: Settings::EVERY })
    }

    fn mail(&self) -> Result<Option<mail::Settings>, SettingsRefused> {
        let Some(server) = self.smtp_url.clone() else { return Ok(None) };
        let from = self.smtp_from.clone().ok_or(SettingsRefused::SenderMissing)?;
        let read = |path: &PathBuf| {
            let unreadable = |error| SettingsRefused::Unreadable { path: path.display().to_string(), error };
            std::fs::read_to_string(path).map_err(unreadable)
        };
        let password = match &self.smtp_password_file {
            Some(path) => Some(SecretString::from(read(path)?.trim_end_matches(['\r', '\n']).to_owned())),
            None => self.smtp_password.clone(),
        };
        let roots = match &self.smtp_ca {
            Some(path) => {
                Settings::roots(path)?;
                Some(read(path)?.into_bytes())
            }
            None => None,
        };
        Ok(Some(mail::Settings { server, from, password, roots }))
    }
}
