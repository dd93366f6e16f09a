use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::{
    domain::network::IpRange,
    notify::{
        Settings, SettingsRefused,
        mail::{self, Mailer, SmtpUrl},
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
    #[arg(
        long,
        env = "PORTCULLIS_SMTP_URL",
        value_name = "URL",
        requires = "smtp_from",
        help_heading = "Webhooks and e-mail"
    )]
    smtp_url: Option<SmtpUrl>,

    /// Who the mails are from
    #[arg(
        long,
        env = "PORTCULLIS_SMTP_FROM",
        value_name = "ADDRESS",
        requires = "smtp_url",
        help_heading = "Webhooks and e-mail"
    )]
    smtp_from: Option<mail::Sender>,

    /// A file with the password of the mail server's user; or set PORTCULLIS_SMTP_PASSWORD
    #[arg(
        long,
        env = "PORTCULLIS_SMTP_PASSWORD_FILE",
        value_name = "FILE",
        requires = "smtp_url",
        conflicts_with = "smtp_password",
        help_heading = "Webhooks and e-mail"
    )]
    smtp_password_file: Option<PathBuf>,

    // For the environment: on the command line everybody on the machine would see it.
    #[arg(long, env = "PORTCULLIS_SMTP_PASSWORD", requires = "smtp_url", hide = true, hide_env_values = true)]
    smtp_password: Option<SecretString>,

    /// Certificates, PEM, that the mail server is believed by, besides the system's
    #[arg(
        long,
        env = "PORTCULLIS_SMTP_CA",
        value_name = "FILE",
        requires = "smtp_url",
        help_heading = "Webhooks and e-mail"
    )]
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

    /// Reads the files that it names, each of them: all that is wrong is told. `key_file` holds where no
    /// other is named.
    pub fn settings(&self, key_file: Option<PathBuf>) -> Result<Settings, Vec<SettingsRefused>> {
        let mut refused = Vec::new();
        let key_file = self.secrets_key_file.clone().or(key_file);
        let vault = key_file.map(|path| Vault::open_file(&path)).transpose();
        let vault = kept(vault, &mut refused).flatten().unwrap_or_default();
        let roots = kept(self.webhook_ca.as_deref().map(Settings::roots).transpose(), &mut refused);
        let reach = Reach { allowed: self.webhook_allow.clone(), http: self.webhook_http };
        let mail = self.mail(&mut refused);
        let roots = roots.flatten().unwrap_or_default();
        let settings = Settings { vault, reach, roots, mail, every: Settings::EVERY };
        if refused.is_empty() { Ok(settings) } else { Err(refused) }
    }

    fn mail(&self, refused: &mut Vec<SettingsRefused>) -> Option<mail::Settings> {
        let (server, from) = self.smtp_url.clone().zip(self.smtp_from.clone())?;
        let file = kept(self.smtp_password_file.as_deref().map(password).transpose(), refused);
        let roots = kept(self.smtp_ca.as_deref().map(authorities).transpose(), refused)?;
        let password = file?.or_else(|| self.smtp_password.clone());
        let settings = mail::Settings { server, from, password, roots };
        kept(Mailer::new(settings.clone()), refused).map(|_| settings)
    }
}

/// What is good; what is wrong is put with the rest of it.
fn kept<T, E: Into<SettingsRefused>>(read: Result<T, E>, refused: &mut Vec<SettingsRefused>) -> Option<T> {
    read.map_err(|error| refused.push(error.into())).ok()
}

fn text(path: &Path) -> Result<String, SettingsRefused> {
    let unreadable = |error| SettingsRefused::Unreadable { path: path.display().to_string(), error };
    std::fs::read_to_string(path).map_err(unreadable)
}

fn password(path: &Path) -> Result<SecretString, SettingsRefused> {
    Ok(SecretString::from(text(path)?.trim_end_matches(['\r', '\n']).to_owned()))
}

fn authorities(path: &Path) -> Result<Vec<u8>, SettingsRefused> {
    Settings::roots(path)?;
    Ok(text(path)?.into_bytes())
}
