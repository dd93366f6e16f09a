//! One mail, by SMTP.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    address::Address,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        AsyncSmtpTransportBuilder, Error as SmtpError,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::http::short;
use crate::domain::time::Timestamp;

/// The server that takes mail: `smtp://[USER@]HOST[:PORT]` or `smtps://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    host: String,
    port: u16,
    user: Option<String>,
    security: Security,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// From the first byte.
    Tls,
    /// Before anything that matters.
    StartTls,
    /// On this machine only.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write smtp://USER@HOST:587 (STARTTLS) or smtps://USER@HOST:465")]
pub struct SmtpUrlInvalid(&'static str);

impl FromStr for SmtpUrl {
    type Err = SmtpUrlInvalid;

    fn from_str(text: &str) -> Result<Self, SmtpUrlInvalid> {
        let url = url::Url::parse(text).map_err(|_| SmtpUrlInvalid("not a URL"))?;
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" => (Security::StartTls, 587),
            _ => return Err(SmtpUrlInvalid("not an smtp or smtps URL")),
        };
        if url.password().is_some() {
            // It would stand in the list of processes and in every manifest.
            return Err(SmtpUrlInvalid("a password does not belong here (use --smtp-password-file)"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(SmtpUrlInvalid("without a host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(SmtpUrlInvalid("with something behind the host"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        let security = if is_here && security == Security::StartTls { Security::None } else { security };
        let user = percent_encoding::percent_decode_str(url.username()).decode_utf8();
        let user = user.map_err(|_| SmtpUrlInvalid("the user name is not UTF-8"))?;
        let user = (!user.is_empty()).then(|| user.into_owned());
        Ok(Self { host, port: url.port().unwrap_or(port), user, security })
    }
}

/// Who mail is from: `name@example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Address);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().map(Self);
        address.map_err(|_| "must be an address such as portcullis@example.com, without a name before it".to_owned())
    }
}

/// How to send mail.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: SmtpUrl,
    pub from: Sender,
    pub password: Option<SecretString>,
    /// PEM: certificates to believe besides the system's.
    pub roots: Option<Vec<u8>>,
}

/// A mail in plain text.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What it tells of: the same notice to the same address is the same mail.
    pub id: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub time: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it.
    Delivered,
    /// The server does not take mail for this address, now or later.
    Refused(String),
    /// To be tried again.
    Failed(String),
}

/// The mail server cannot be spoken to as configured.
#[derive(Debug, thiserror::Error)]
pub enum MailerRefused {
    #[error("the mail server's TLS: {0}")]
    Tls(String),
    #[error("--smtp-url names a user, and there is no password: give --smtp-password-file or PORTCULLIS_SMTP_PASSWORD")]
    PasswordMissing,
}

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

/// For one mail.
const WITHIN: Duration = Duration::from_secs(30);
/// For one answer of the server.
const COMMAND: Duration = Duration::from_secs(10);

impl Mailer {
    pub fn new(settings: Settings) -> Result<Self, MailerRefused> {
        let Settings { server, from: Sender(from), password, roots } = settings;
        let tls = |wrap: fn(TlsParameters) -> Tls| {
            let mut parameters = TlsParameters::builder(server.host.clone());
            if let Some(pem) = &roots {
                parameters = parameters.add_root_certificate(Certificate::from_pem(pem)?);
            }
            parameters.build().map(wrap)
        };
        let tls = match server.security {
            Security::Tls => tls(Tls::Wrapper),
            Security::StartTls => tls(Tls::Required),
            Security::None => Ok(Tls::None),
        };
        let tls = tls.map_err(|error: SmtpError| MailerRefused::Tls(short(&error.to_string())))?;
        let mut builder: AsyncSmtpTransportBuilder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.as_str());
        builder = builder.port(server.port).tls(tls).timeout(Some(COMMAND));
        builder = builder.hello_name(ClientId::Domain(from.domain().to_owned()));
        if let Some(user) = server.user {
            let password = password.ok_or(MailerRefused::PasswordMissing)?;
            builder = builder.credentials(Credentials::new(user, password.expose_secret().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    pub async fn send(&self, mail: &Mail) -> Outcome {
        let message = match self.message(mail) {
            Ok(message) => message,
            Err(why) => return Outcome::Refused(short(&why)),
        };
        match timeout(WITHIN, self.transport.send(message)).await {
            Ok(Ok(_)) => Outcome::Delivered,
            Ok(Err(error)) if is_for_good(&error) => Outcome::Refused(short(&error.to_string())),
            Ok(Err(error)) => Outcome::Failed(short(&error.to_string())),
            Err(_) => Outcome::Failed(format!("no answer within {} s", WITHIN.as_secs())),
        }
    }

    /// Lettre encodes what is not ASCII, and folds and escapes headers: nothing in a subject
    /// or an address makes another header.
    fn message(&self, mail: &Mail) -> Result<Message, String> {
        let to: Address = mail.to.parse::<Address>().map_err(|_| "not an address that mail can go to".to_owned())?;
        let micros = u64::try_from(mail.time.micros()).unwrap_or(0);
        let subject: String = mail.subject.chars().filter(|c| !c.is_control()).collect();
        Message::builder()
            .from(Mailbox::new(Some("Portcullis".to_owned()), self.from.clone()))
            .to(Mailbox::new(None, to))
            .date(std::time::UNIX_EPOCH + Duration::from_micros(micros))
            .message_id(Some(message_id(&mail.id, &mail.to, self.from.domain())))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone())
            .map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailer(from {})", self.from)
    }
}

/// The same for the same notice and recipient, however often it is sent: servers and mail
/// programs tell repeats by it.
fn message_id(notice: &str, to: &str, domain: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(notice);
    hash.update([0]);
    hash.update(to);
    let digest: [u8; 32] = hash.finalize().into();
    let print: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("<{notice}.{print}@{domain}>")
}

/// Whether the server said no to this mail. A no to the log-in or to TLS is about the
/// settings, which can be mended while the mail waits.
fn is_for_good(error: &SmtpError) -> bool {
    let code = error.status().map(u16::from);
    error.is_permanent() && code.is_some_and(|code| (550..=554).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailer() -> Mailer {
        let server = "smtp://127.0.0.1:2525".parse().expect("url");
        let from = "portcullis@example.com".parse().expect("address");
        Mailer::new(Settings { server, from, password: None, roots: None }).expect("mailer")
    }

    fn mail() -> Mail {
        Mail {
            id: "msg_1".to_owned(),
            to: "ops@example.org".to_owned(),
            subject: "key.revoked: Käse".to_owned(),
            text: "Zeile\n.\nBcc: x@example.com\n".to_owned(),
            time: Timestamp::from_seconds(1_795_219_200),
        }
    }

    fn raw(mail: &Mail) -> String {
        String::from_utf8(mailer().message(mail).expect("a mail").formatted()).expect("ASCII")
    }

    #[test]
    fn a_repeat_is_the_same_mail_and_another_recipient_is_another() {
        assert_eq!(raw(&mail()), raw(&mail()));
        let id = |mail: &Mail| raw(mail).lines().find(|line| line.starts_with("Message-ID")).map(str::to_owned);
        assert!(id(&mail()).is_some_and(|id| id.contains("<msg_1.") && id.contains("@example.com>")));
        assert_ne!(id(&mail()), id(&Mail { to: "dev@example.org".to_owned(), ..mail() }));
        assert_ne!(id(&mail()), id(&Mail { id: "msg_2".to_owned(), ..mail() }));
    }

    #[test]
    fn nothing_makes_another_header() {
        for subject in ["a\r\nBcc: x@example.com", "a\nBcc: x@example.com", "a\rBcc: x@example.com", "a\0b"] {
            let raw = raw(&Mail { subject: subject.to_owned(), ..mail() });
            let head = raw.split("\r\n\r\n").next().expect("a head");
            let names: Vec<_> =
                head.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(':').next()).collect();
            assert_eq!(
                names,
                ["From", "To", "Date", "Message-ID", "Subject", "Content-Type", "Content-Transfer-Encoding"],
                "{subject:?}: {head}"
            );
        }
    }

    #[test]
    fn urls_of_servers() {
        let url = |text: &str| text.parse::<SmtpUrl>();
        let parsed = url("smtp://me%40example.com@mail.example.com").expect("url");
        assert_eq!((parsed.port, parsed.security), (587, Security::StartTls));
        assert_eq!(parsed.user.as_deref(), Some("me@example.com"));
        assert_eq!(url("smtps://mail.example.com").expect("url").port, 465);
        assert_eq!(url("smtps://mail.example.com").expect("url").security, Security::Tls);
        for here in ["smtp://localhost:25", "smtp://127.0.0.1:25", "smtp://[::1]:25"] {
            assert_eq!(url(here).expect(here).security, Security::None);
        }
        assert_eq!(url("smtps://localhost").expect("url").security, Security::Tls);
        for (bad, said) in [
            ("mail.example.com:25", "not an smtp"),
            ("smtp://me:hunter2@mail.example.com", "--smtp-password-file"),
            ("smtp://mail.example.com/x", "behind the host"),
            ("smtp://mail.example.com?tls=none", "behind the host"),
            ("http://mail.example.com", "not an smtp"),
            ("", "not a URL"),
        ] {
            let refused = url(bad).expect_err(bad).to_string();
            assert!(refused.contains(said) && !refused.contains("hunter2"), "{bad}: {refused}");
        }
    }

    #[test]
    fn a_user_needs_a_password() {
        let server = "smtp://me@localhost".parse().expect("url");
        let settings =
            Settings { server, from: "a@example.com".parse().expect("address"), password: None, roots: None };
        assert!(matches!(Mailer::new(settings), Err(MailerRefused::PasswordMissing)));
    }
}
