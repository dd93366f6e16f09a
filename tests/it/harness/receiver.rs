//! Receivers of webhooks, real ones, that answer as a test wants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use portcullis::notify::{Settings, reach::Reach, vault::Vault};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls};

use super::until;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// What a receiver does with one.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// These bytes, and the connection is closed.
    Raw(Vec<u8>),
    /// A 200 whose body never ends.
    Endless,
    /// Nothing, and the connection stays open.
    Hold,
    /// A 200, when the test says so.
    When(Arc<Notify>),
}

/// Listens on a port of loopback.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: mpsc::Receiver<Received>,
    reply: Arc<Mutex<Reply>>,
    left: Arc<Notify>,
    server: JoinHandle<()>,
}

/// May go to loopback, in plain, and looks often.
pub(crate) fn settings() -> Settings {
    let vault = Vault::read(&BASE64_STANDARD.encode([42; 32])).expect("a key");
    let reach = Reach { allowed: vec!["127.0.0.0/8".parse().expect("network")], http: true };
    Settings { vault, reach, roots: Vec::new(), mail: None, every: Duration::from_millis(50) }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_on(listen(socket(0)), None)
    }

    pub(crate) async fn start_tls(certificate: rustls::ServerConfig) -> Self {
        Self::start_tls_on(listen(socket(0)), certificate)
    }

    /// With TLS, where somebody listens already.
    pub(crate) fn start_tls_on(listener: TcpListener, certificate: rustls::ServerConfig) -> Self {
        Self::start_on(listener, Some(certificate))
    }

    /// Nobody listens any more; and nobody else gets the port.
    pub(crate) async fn goes(self) -> Gone {
        let port = self.url.rsplit(':').next().and_then(|port| port.trim_end_matches("/hook").parse().ok());
        let socket = socket(port.expect("a port"));
        self.server.abort();
        until("the listener is closed", async || self.server.is_finished()).await;
        Gone(socket)
    }

    fn start_on(listener: TcpListener, tls: Option<rustls::ServerConfig>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/hook", listener.local_addr().expect("address"));
        let (send, received) = mpsc::channel(1000);
        let reply = Arc::new(Mutex::new(Reply::Status(200)));
        let (how, left) = (Arc::clone(&reply), Arc::new(Notify::new()));
        let gone = Arc::clone(&left);
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (send, how, tls, gone) = (send.clone(), Arc::clone(&how), tls.clone(), Arc::clone(&gone));
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, send, how, gone).await;
                            }
                        }
                        None => answer(stream, send, how, gone).await,
                    }
                });
            }
        });
        Self { url, received, reply, left, server }
    }

    pub(crate) fn replies(&self, reply: Reply) {
        *self.reply.lock().expect("reply") = reply;
    }

    /// Waits until the other side has closed a connection that it got its answer on.
    pub(crate) async fn left(&self) {
        tokio::time::timeout(Duration::from_secs(20), self.left.notified()).await.expect("it stays");
    }

    /// The next request. Fails the test after 20 seconds of silence.
    pub(crate) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(Duration::from_secs(20), self.received.recv()).await;
        next.expect("nothing arrives").expect("a living receiver")
    }

    /// Fails if something arrives soon, or has arrived.
    pub(crate) async fn nothing(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(300), self.received.recv()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// What comes until nothing comes for a while.
    pub(crate) async fn all(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Ok(Some(next)) = tokio::time::timeout(Duration::from_millis(500), self.received.recv()).await {
            all.push(next);
        }
        all
    }
}

/// The place of a receiver that has gone.
pub(crate) struct Gone(TcpSocket);

impl Gone {
    pub(crate) fn comes_back(self) -> Receiver {
        Receiver::start_on(listen(self.0), None)
    }
}

/// At a port of loopback that others of this test may have, too.
fn socket(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("shared");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a port");
    socket
}

fn listen(socket: TcpSocket) -> TcpListener {
    socket.listen(1024).expect("it listens")
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    pub(crate) fn key_id(&self) -> String {
        self.json()["data"]["key"]["key_id"].as_str().expect("a key").to_owned()
    }

    /// How many of its signatures are by this secret, as a receiver computes them.
    pub(crate) fn signed_by(&self, secret: &str) -> usize {
        let timestamp: i64 = self.header("webhook-timestamp").parse().expect("seconds");
        let signer = standardwebhooks::Webhook::new(secret).expect("its form");
        let expected = signer.sign(self.id(), timestamp, self.body.as_bytes()).expect("text");
        self.header("webhook-signature").split(' ').filter(|signature| *signature == expected).count()
    }

    pub(crate) fn signatures(&self) -> usize {
        self.header("webhook-signature").split(' ').count()
    }
}

async fn answer<S>(mut stream: S, send: mpsc::Sender<Received>, how: Arc<Mutex<Reply>>, gone: Arc<Notify>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(received) = read(&mut stream).await else { return };
    let reply = how.lock().expect("reply").clone();
    let held = matches!(reply, Reply::Hold | Reply::When(_));
    let told = send.send(received).await;
    if told.is_err() {
        return;
    }
    match reply {
        Reply::Status(status) => {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            let _ = stream.write_all(head.as_bytes()).await;
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
        }
        Reply::Hold => {}
        Reply::When(told) => {
            told.notified().await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    }
    if held {
        // Until the other side goes.
        let mut byte = [0];
        let _ = stream.read(&mut byte).await;
        gone.notify_one();
    }
    let _ = stream.shutdown().await;
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).expect("UTF-8");
    Some(Received { head, headers, body })
}
