use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    auth,
    grpc::{Ceilings, Listen, Tls},
    replica::Pace,
    signing::DEFAULT_AUDIENCE,
    store::LONGEST_LEASE,
    watch::Limits,
};

/// Where to listen.
#[derive(Debug, Clone, clap::Args)]
pub struct ListenArgs {
    /// The address to listen on. Beyond loopback it wants TLS, or --plaintext-beyond-loopback
    #[arg(
        long,
        env = "PORTCULLIS_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:50051",
        help_heading = "Listening"
    )]
    pub listen: SocketAddr,

    /// The certificate chain, PEM, the server's own first. Read anew when it changes, and on SIGHUP
    #[arg(long, env = "PORTCULLIS_TLS_CERT", value_name = "FILE", requires = "tls_key", help_heading = "Listening")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, env = "PORTCULLIS_TLS_KEY", value_name = "FILE", requires = "tls_cert", help_heading = "Listening")]
    tls_key: Option<PathBuf>,

    /// Certificates, PEM, of authorities whose client certificates are believed. A call that brings
    /// neither token nor signature is then one of the service account that has a name of the client's
    /// certificate among its client_certificate_names
    #[arg(
        long,
        env = "PORTCULLIS_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Listening"
    )]
    tls_client_ca: Option<PathBuf>,

    /// Refuse clients without such a certificate at the handshake, those that ask for health too
    #[arg(long, env = "PORTCULLIS_TLS_REQUIRE_CLIENT_CERT", requires = "tls_client_ca", help_heading = "Listening")]
    tls_require_client_cert: bool,

    /// Listen without TLS beyond loopback: secrets and verdicts cross the network in plain. Only
    /// where something else encrypts each way to here, such as a mesh
    #[arg(long, env = "PORTCULLIS_PLAINTEXT_BEYOND_LOOPBACK", conflicts_with = "tls_cert", help_heading = "Listening")]
    plaintext_beyond_loopback: bool,

    /// Do not answer gRPC reflection
    #[arg(long, env = "PORTCULLIS_NO_REFLECTION", help_heading = "Listening")]
    no_reflection: bool,

    /// Connections at once. Beyond them the oldest of which no call has proven who makes it is closed for one
    /// that comes, or that one if there is none. The soft limit of open files is raised to the hard one, which
    /// must be 256 above this
    #[arg(long, env = "PORTCULLIS_MAX_CONNECTIONS", value_name = "N", default_value_t = Ceilings::default().connections, value_parser = count(1), help_heading = "Limits")]
    max_connections: usize,

    /// Those of one address, of IPv6 a /64. 0: addresses are not told apart, as behind a balancer
    /// that hands on connections
    #[arg(long, env = "PORTCULLIS_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = Ceilings::default().connections_per_address, value_parser = count(0), help_heading = "Limits")]
    max_connections_per_address: usize,

    /// Calls that wait for their answer at once, and as many whose message is on its way; further ones are
    /// OVERLOADED, but for health
    #[arg(long, env = "PORTCULLIS_MAX_CALLS", value_name = "N", default_value_t = Ceilings::default().calls, value_parser = count(1), help_heading = "Limits")]
    max_calls: usize,

    /// Those of one address; 0: addresses are not told apart
    #[arg(long, env = "PORTCULLIS_MAX_CALLS_PER_ADDRESS", value_name = "N", default_value_t = Ceilings::default().calls_per_address, value_parser = count(0), help_heading = "Limits")]
    max_calls_per_address: usize,

    /// How long a connection may take to make its TLS handshake, and then to send its first byte
    #[arg(long, env = "PORTCULLIS_HANDSHAKE_TIMEOUT", value_name = "DURATION", default_value = "10s", value_parser = age, help_heading = "Limits")]
    handshake_timeout: Duration,

    /// How long a connection may be without a call or a stream
    #[arg(long, env = "PORTCULLIS_IDLE_TIMEOUT", value_name = "DURATION", default_value = "30m", value_parser = age, help_heading = "Limits")]
    idle_timeout: Duration,
}

impl ListenArgs {
    #[must_use]
    pub fn listen(&self) -> Listen {
        let (client_ca, client_required) = (self.tls_client_ca.clone(), self.tls_require_client_cert);
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        let tls = files.map(|(certificate, key)| Tls {
            certificate,
            key,
            client_ca,
            client_required,
            look_every: Tls::LOOK_EVERY,
        });
        let (plaintext, reflection) = (self.plaintext_beyond_loopback, !self.no_reflection);
        Listen { address: self.listen, tls, plaintext, reflection, ceilings: self.ceilings() }
    }

    fn ceilings(&self) -> Ceilings {
        Ceilings {
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            calls: self.max_calls,
            calls_per_address: self.max_calls_per_address,
            handshake: self.handshake_timeout,
            idle: self.idle_timeout,
        }
    }
}

/// How to serve.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// What this deployment is called: callers sign it, so that a call for one deployment is
    /// worth nothing at another
    #[arg(long, env = "PORTCULLIS_AUDIENCE", value_name = "NAME", default_value = DEFAULT_AUDIENCE, value_parser = audience, help_heading = "Callers")]
    pub audience: String,

    /// What signed tokens may name as their audience besides: a name, or https://HOST:PORT of
    /// this service, with or without a service name behind it. May be repeated
    #[arg(long = "token-audience", env = "PORTCULLIS_TOKEN_AUDIENCE", value_name = "NAME", value_delimiter = ',', value_parser = audience, help_heading = "Callers")]
    token_audiences: Vec<String>,

    /// Signed calls that one service account may make in a second
    #[arg(long, env = "PORTCULLIS_SIGNED_CALLS_PER_SECOND", value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Callers")]
    signed_calls_per_second: u32,

    /// Signatures that are checked in a second, of signed calls and of tokens that are not known yet;
    /// further calls are OVERLOADED. A fifth as many of unknown kids
    #[arg(long, env = "PORTCULLIS_SIGNATURE_CHECKS_PER_SECOND", value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Callers")]
    signature_checks_per_second: u32,

    /// Those of one address, of IPv6 a /64. 0: addresses are not told apart, as behind a balancer
    #[arg(long, env = "PORTCULLIS_SIGNATURE_CHECKS_PER_ADDRESS", value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000), help_heading = "Callers")]
    signature_checks_per_address: u32,

    /// How long a replica may answer after it last proved that it is fresh: 2s to 60s. A shorter
    /// lease makes revocations after a crash faster; a longer one rides out a longer
    /// failure of the database
    #[arg(long, env = "PORTCULLIS_LEASE", value_name = "DURATION", default_value = "10s", value_parser = lease, help_heading = "Freshness")]
    lease: Duration,

    /// Whether to answer from a PostgreSQL that may lose what it has acknowledged: strict refuses
    /// to, relaxed says so in the log, and no promise about revocations outlives a failure of the
    /// database then
    #[arg(long, env = "PORTCULLIS_DURABILITY", value_enum, default_value_t = Durability::Strict, help_heading = "Freshness")]
    durability: Durability,

    /// Do not LISTEN for other replicas' revisions, for a connection pooler that does not carry
    /// it. They are found once a second then
    #[arg(long, env = "PORTCULLIS_NO_DOORBELL", help_heading = "Freshness")]
    no_doorbell: bool,

    /// How many streams of revocations at once; one service account may have half of them
    #[arg(long, env = "PORTCULLIS_MAX_WATCHES", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Streams")]
    max_watches: u32,

    /// How old a stream may get; watchers come back with their resume token
    #[arg(long, env = "PORTCULLIS_WATCH_MAX_AGE", value_name = "DURATION", default_value = "1h", value_parser = age, help_heading = "Streams")]
    watch_max_age: Duration,

    /// How far back a watcher may resume
    #[arg(long, env = "PORTCULLIS_HISTORY", value_name = "DURATION", default_value = "7days", value_parser = age, help_heading = "Streams")]
    pub history: Duration,

    /// Answer /metrics (Prometheus), /livez and /readyz at this address, in plain HTTP: they carry
    /// no secret, and show everybody who reaches them how much is done. Loopback, or an address
    /// that only the cluster reaches. Unset: nothing listens
    #[arg(long, env = "PORTCULLIS_ADMIN_LISTEN", value_name = "ADDR", help_heading = "Listening")]
    pub admin_listen: Option<SocketAddr>,

    /// How long calls and streams may take to end when the server is told to stop, an hour at most. Give it 15s
    /// more before it is killed (terminationGracePeriodSeconds, TimeoutStopSec)
    #[arg(long, env = "PORTCULLIS_DRAIN", value_name = "DURATION", default_value = "10s", value_parser = drain)]
    pub drain: Duration,
}

/// What the database must promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Durability {
    Strict,
    Relaxed,
}

impl ServeArgs {
    #[must_use]
    pub fn auth(&self) -> auth::Settings {
        auth::Settings {
            audience: self.audience.clone(),
            token_audiences: self.token_audiences.clone(),
            signed_calls_per_second: self.signed_calls_per_second,
            checks_per_second: self.signature_checks_per_second,
            checks_per_address: self.signature_checks_per_address,
        }
    }

    #[must_use]
    pub fn pace(&self) -> Pace {
        let strict = self.durability == Durability::Strict;
        Pace { lease: self.lease, doorbell: !self.no_doorbell, strict, ..Pace::default() }
    }

    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { max_streams: self.max_watches as usize, max_age: self.watch_max_age, ..Limits::default() }
    }
}

/// A number from `least` on.
fn count(least: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser as _;
    clap::value_parser!(u64).range(least..=1_000_000).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn lease(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(2), LONGEST_LEASE)
}

fn age(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(24 * 400))
}

/// As long as the chart's longest terminationGracePeriodSeconds: a stop that takes longer is one that never ends.
fn drain(text: &str) -> Result<Duration, String> {
    between(text, Duration::ZERO, Duration::from_hours(1))
}

fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
        // Also of what is no duration: these are two, with their units.
        _ => {
            let [least, most] = [least, most].map(humantime::format_duration);
            Err(format!("must be {least} to {most}"))
        }
    }
}

/// A line of the signed text: no line end may be in it.
fn audience(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 256 && text.chars().all(|c| c.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("must be 1 to 256 visible ASCII characters".to_owned()) }
}
