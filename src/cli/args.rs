//! The flags that several commands share, one struct a concern.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, builder::NonEmptyStringValueParser};
use tonic::transport::Channel;

use super::failure::Failure;
use crate::client::{self, ClientCertificate, ConnectFailed, Credentials, Endpoint, Method, Schema, Tls};

/// A request larger than this is refused by every server.
const MAX_REQUEST: u64 = 4 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct CredentialsArgs {
    /// The credentials file of the service account that calls
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CREDENTIALS", hide_env_values = true)]
    credentials: Option<PathBuf>,
}

impl CredentialsArgs {
    pub(super) fn read(&self) -> Result<Credentials, Failure> {
        self.read_if_named()?
            .ok_or_else(|| Failure::usage("no credentials: give --credentials FILE, or set PORTCULLIS_CREDENTIALS"))
    }

    pub(super) fn read_if_named(&self) -> Result<Option<Credentials>, Failure> {
        self.credentials.as_deref().map(Credentials::read).transpose().map_err(Failure::usage)
    }
}

#[derive(Debug, Args)]
pub(super) struct EndpointArgs {
    /// Where the service is: https://host:port, or http://host:port on this machine [default: the credentials file's]
    #[arg(long, value_name = "URL", env = "PORTCULLIS_ENDPOINT", hide_env_values = true)]
    endpoint: Option<Endpoint>,
}

impl EndpointArgs {
    pub(super) fn is_given(&self) -> bool {
        self.endpoint.is_some()
    }

    /// That of the flag, else that of the file.
    pub(super) fn or_of(self, credentials: Option<&Credentials>) -> Result<Endpoint, Failure> {
        match (self.endpoint, credentials.and_then(|c| c.account().endpoint.as_deref())) {
            (Some(endpoint), _) => Ok(endpoint),
            (None, Some(text)) => {
                text.parse().map_err(|e| Failure::Usage(format!("`endpoint` of the credentials file: {e}")))
            }
            (None, None) => Err(Failure::usage("no endpoint: give --endpoint URL, or set PORTCULLIS_ENDPOINT")),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct TlsArgs {
    /// PEM file of the certificates to trust, instead of the operating system's
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CA_CERT", hide_env_values = true)]
    ca_cert: Option<PathBuf>,

    /// The name that the server's certificate must hold [default: the endpoint's host]
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_SERVER_NAME", hide_env_values = true,
          value_parser = NonEmptyStringValueParser::new())]
    server_name: Option<String>,

    /// PEM file of the certificate to show, where the server asks for one
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CLIENT_CERT", hide_env_values = true)]
    client_cert: Option<PathBuf>,

    /// PEM file of that certificate's private key, not encrypted
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CLIENT_KEY", hide_env_values = true)]
    client_key: Option<PathBuf>,
}

impl TlsArgs {
    pub(super) async fn connect(self, endpoint: &Endpoint) -> Result<Channel, Failure> {
        let client = match (self.client_cert, self.client_key) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(half("--client-cert", "--client-key", "PORTCULLIS_CLIENT_KEY")),
            (None, Some(_)) => return Err(half("--client-key", "--client-cert", "PORTCULLIS_CLIENT_CERT")),
        };
        let tls = Tls { ca_cert: self.ca_cert, server_name: self.server_name, client };
        client::connect(endpoint, &tls).await.map_err(|e| match e {
            ConnectFailed::Config(_) => Failure::usage(e),
            ConnectFailed::Unreachable { .. } => Failure::Unreachable(e.to_string()),
        })
    }
}

fn half(given: &str, other: &str, variable: &str) -> Failure {
    Failure::Usage(format!("{given} needs {other}: give {other} FILE, or set {variable}"))
}

/// Who calls, and whom.
#[derive(Debug, Args)]
pub(super) struct ConnectionArgs {
    #[command(flatten)]
    pub(super) credentials: CredentialsArgs,

    #[command(flatten)]
    pub(super) endpoint: EndpointArgs,

    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// KeyService/CreateKey, or the full name portcullis.v1.KeyService/CreateKey
    #[arg(value_name = "METHOD")]
    method: String,

    /// The request as JSON, @FILE to read it from a file, or @- from standard input
    #[arg(short, long, value_name = "JSON", default_value = "{}")]
    data: String,
}

impl RequestArgs {
    /// The method and the bytes of the one request message.
    pub(super) fn read(&self) -> Result<(Method, bytes::Bytes), Failure> {
        let method = Schema::new().method(&self.method).map_err(Failure::usage)?;
        if method.streams_requests() {
            return Err(Failure::Usage(format!("{} takes a stream of requests, and this sends one", method.path())));
        }
        let message = method.request(&self.json()?).map_err(Failure::usage)?;
        Ok((method, message))
    }

    fn json(&self) -> Result<String, Failure> {
        match self.data.strip_prefix('@') {
            None => Ok(self.data.clone()),
            Some("-") => read_text(io::stdin().lock(), "standard input"),
            Some(path) => {
                let file = File::open(path).map_err(|e| Failure::Usage(format!("cannot read {path}: {e}")))?;
                read_text(file, path)
            }
        }
    }
}

fn read_text(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    match from.take(MAX_REQUEST + 1).read_to_string(&mut text) {
        Err(e) => Err(Failure::Usage(format!("cannot read {name}: {e}"))),
        Ok(read) if read as u64 > MAX_REQUEST => Err(Failure::Usage(format!("{name} holds more than 4 MiB"))),
        Ok(_) => Ok(text),
    }
}

/// `30s`, `5m`: more than nothing.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("must be more than 0".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write it with its unit, as 30s, 5m or 1h".to_owned()),
    }
}

/// Runs a client's command to its end.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Failed(format!("cannot start: {e}")))?
        .block_on(work)
}
