mod heard;
mod tls;

use std::{error::Error, fmt, net::IpAddr, str::FromStr, time::Duration};

use tonic::transport::{Channel, Uri};

use heard::Connector;
pub(super) use heard::IN_TLS;
pub use tls::{ClientCertificate, Tls};

/// Name look-up, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that vanished is noticed within the sum of these, on calls of any length.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to call: `https://host:port`, or `http://host:port` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    tls: bool,
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointRefused {
    #[error("an endpoint is http://host:port or https://host:port")]
    Form,
    #[error("an endpoint is a scheme, a host and a port, and nothing behind: http://host:port or https://host:port")]
    Path,
    #[error("`{0}` is not this machine, and beyond it plaintext shows every secret to the network: use https://")]
    Plaintext(String),
}

impl FromStr for Endpoint {
    type Err = EndpointRefused;

    fn from_str(text: &str) -> Result<Self, EndpointRefused> {
        let uri: Uri = text.parse().map_err(|_| EndpointRefused::Form)?;
        let (Some(authority), Some(host)) = (uri.authority(), uri.host().filter(|h| !h.is_empty())) else {
            return Err(EndpointRefused::Form);
        };
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(EndpointRefused::Form),
        };
        // The path is part of what is signed, and tonic would put this one before it.
        if uri.path_and_query().is_some_and(|p| p != "/") || authority.as_str().contains('@') {
            return Err(EndpointRefused::Path);
        }
        if !tls && !is_loopback(host) {
            return Err(EndpointRefused::Plaintext(host.to_owned()));
        }
        Ok(Self { tls, uri })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.uri.authority().map_or("", |a| a.as_str()))
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailed {
    #[error("{0}")]
    Config(String),
    #[error("cannot connect to {endpoint}: {why}")]
    Unreachable { endpoint: Endpoint, why: String },
}

/// Connects, within 5 seconds or not at all.
pub async fn connect(endpoint: &Endpoint, tls: &Tls) -> Result<Channel, ConnectFailed> {
    let mut builder = Channel::builder(endpoint.uri.clone())
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .map_err(|e| ConnectFailed::Config(causes(&e)))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    if endpoint.tls {
        builder = tls.of(builder)?;
    } else if *tls != Tls::default() {
        return Err(ConnectFailed::Config(format!(
            "a CA certificate, a server name and a client certificate are for https://, and the endpoint is {endpoint}"
        )));
    }
    let unreachable = |why| ConnectFailed::Unreachable { endpoint: endpoint.clone(), why };
    match tokio::time::timeout(CONNECT_TIMEOUT, builder.connect_with_connector(Connector::new(!endpoint.tls))).await {
        Ok(channel) => channel.map_err(|e| unreachable(causes(&e))),
        Err(_) => Err(unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

/// tonic's own message is "transport error": what happened is in its causes.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.strip_prefix("transport error: ").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, EndpointRefused> {
        text.parse::<Endpoint>().map(|e| e.to_string())
    }

    #[test]
    fn plaintext_stays_on_this_machine() {
        for text in [
            "http://127.0.0.1:50051",
            "http://127.9.9.9:1",
            "http://[::1]:50051",
            "http://localhost:1",
            "http://[::ffff:127.0.0.1]:1",
            "https://keys.example.com:443",
            "https://10.0.0.1",
            "https://[2001:db8::1]:443",
        ] {
            assert_eq!(parse(text).as_deref(), Ok(text));
        }
        for host in [
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "keys.example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "127.1",
            "2130706433",
            "[::ffff:10.0.0.1]",
        ] {
            assert_eq!(parse(&format!("http://{host}:1")), Err(EndpointRefused::Plaintext(host.to_owned())));
        }
    }

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        assert_eq!(parse("https://a.example:1/").as_deref(), Ok("https://a.example:1"));
        for text in ["", "127.0.0.1:50051", "localhost", "grpc://a:1", "http://", "http://:1", "/a", "http://a b:1"] {
            assert_eq!(parse(text), Err(EndpointRefused::Form), "{text}");
        }
        for text in
            ["https://a:1/v1", "https://a:1/?q", "http://localhost@example.com:1", "http://example.com@127.0.0.1:1"]
        {
            assert_eq!(parse(text), Err(EndpointRefused::Path), "{text}");
        }
    }

    #[tokio::test]
    async fn why_there_is_no_connection_is_told() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        let endpoint: Endpoint = format!("http://{closed}").parse().expect("endpoint");
        let failed = connect(&endpoint, &Tls::default()).await.expect_err("nobody listens").to_string();
        assert!(failed.contains("Connection refused") && failed.contains(&endpoint.to_string()), "{failed}");
    }
}
