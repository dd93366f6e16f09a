//! One POST: to where it may go, within its time, and the answer's status is all that is
//! believed of it. No redirect is followed, no proxy is asked, nothing is kept between two.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName},
    },
};

use super::reach::Reach;
use crate::domain::webhook::WebhookUrl;

/// What is posted: the body and the three headers of Standard Webhooks.
#[derive(Debug, Clone)]
pub struct Post {
    pub id: String,
    /// Seconds, of this attempt.
    pub timestamp: i64,
    pub signature: String,
    pub body: Bytes,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A status of 200 to 299.
    Delivered { status: u16 },
    /// 410: the receiver wants nothing more, ever.
    Gone,
    /// Anything else: to be tried again. In words that hold no secret.
    Failed { status: Option<u16>, why: String },
}

/// Posts.
#[derive(Debug, Clone)]
pub struct Poster {
    reach: Arc<Reach>,
    /// Besides the system's.
    roots: Arc<[CertificateDer<'static>]>,
    /// Made when it is first needed: the system's roots are many to read.
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
}

/// The receiver wants nothing more.
const GONE: u16 = 410;
/// From the look-up of the name to the end of the answer.
const WITHIN: Duration = Duration::from_secs(15);
/// For one of the addresses of a name.
const CONNECT: Duration = Duration::from_secs(5);
const ADDRESSES: usize = 4;
/// How much of an answer's body is read, and for how long: only so that its sender is not cut
/// off while it writes.
const BODY: usize = 4 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(1);
/// Of an answer's head.
const HEAD: usize = 16 * 1024;
const HEADERS: usize = 64;

/// One answer for a name that there is not, and for one that leads inside: who may make webhooks
/// does not learn from it which names there are. The log says which it was.
const NOWHERE: &str = "the name has no address, or none that may be reached";

impl Poster {
    #[must_use]
    pub fn new(reach: Arc<Reach>, roots: Vec<CertificateDer<'static>>) -> Self {
        Self { reach, roots: roots.into(), tls: Arc::default() }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        // Those that do not read are passed over: a system has some that nobody needs.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.roots.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| format!("TLS: {error}"))?;
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        Ok(Arc::clone(self.tls.get_or_init(|| config)))
    }

    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    pub async fn post(&self, url: &WebhookUrl, post: Post) -> Outcome {
        match timeout(WITHIN, self.try_post(url, post)).await {
            Ok(Ok(status)) if status.is_success() => Outcome::Delivered { status: status.as_u16() },
            Ok(Ok(status)) if status.as_u16() == GONE => Outcome::Gone,
            Ok(Ok(status)) => Outcome::Failed { status: Some(status.as_u16()), why: about(status) },
            Ok(Err(why)) => Outcome::Failed { status: None, why: short(&why) },
            Err(_) => Outcome::Failed { status: None, why: format!("no answer within {} s", WITHIN.as_secs()) },
        }
    }

    async fn try_post(&self, url: &WebhookUrl, post: Post) -> Result<StatusCode, String> {
        self.reach.check(url).map_err(|error| format!("the URL {error}"))?;
        let stream = self.connect(url).await?;
        if !url.is_https() {
            return exchange(stream, request(url, post)?).await;
        }
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "no certificate can name this host".to_owned())?;
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
        exchange(stream, request(url, post)?).await
    }

    /// The addresses are looked at here, each time: what a name leads to changes, and may be
    /// made to change between a check and its use.
    async fn connect(&self, url: &WebhookUrl) -> Result<TcpStream, String> {
        let addresses: Vec<SocketAddr> = match url.address() {
            Some(address) => vec![(address, url.port()).into()],
            None => {
                let found = tokio::net::lookup_host((url.host(), url.port())).await;
                found.map_err(|_| NOWHERE.to_owned())?.collect()
            }
        };
        let mut last = NOWHERE.to_owned();
        for address in addresses.into_iter().take(ADDRESSES) {
            if let Err(error) = self.reach.check_address(address.ip()) {
                tracing::info!(host = url.host(), "a webhook is not connected to: its name {error}");
                continue;
            }
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = format!("cannot connect: {}", error.kind()),
                Err(_) => last = "cannot connect: timed out".to_owned(),
            }
        }
        Err(last)
    }
}

fn request(url: &WebhookUrl, post: Post) -> Result<Request<Full<Bytes>>, String> {
    Request::post(url.path_and_query())
        .header(HOST, url.authority())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("Portcullis/", env!("CARGO_PKG_VERSION")))
        .header(standardwebhooks::HEADER_WEBHOOK_ID, post.id)
        .header(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP, post.timestamp)
        .header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, post.signature)
        .body(Full::new(post.body))
        .map_err(|_| "the URL makes no request".to_owned())
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD).max_headers(HEADERS);
    let broken = |error: hyper::Error| format!("no answer that is HTTP: {error}");
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _driver = Driver(tokio::spawn(async move {
        // What goes wrong is told to whoever waits for the answer.
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let _ = timeout(BODY_WITHIN, read(response)).await;
    Ok(status)
}

/// To its end, or to where enough was read.
async fn read(response: Response<Incoming>) {
    let (mut body, mut left) = (response.into_body(), BODY);
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) if rest > 0 => left = rest,
            _ => return,
        }
    }
}

/// The connection ends with whoever wanted it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn about(status: StatusCode) -> String {
    if status.is_redirection() {
        format!("HTTP {}: redirects are not followed", status.as_u16())
    } else {
        format!("HTTP {}", status.as_u16())
    }
}

/// For a list: one line of visible text, not long.
pub(super) fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
