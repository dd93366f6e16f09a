//! A server that takes any method, keeps what it was sent, and answers from a script. It
//! sees the bytes as they came.

use std::{
    convert::Infallible,
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use portcullis::{
    client::Raw,
    pb::{
        self, Bookmark, CreateKeyResponse, WatchRevocationsRequest, WatchRevocationsResponse,
        watch_revocations_response::Item,
    },
    signing::{PublicKey, Signed, token::Token},
};
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, BoxStream, Context, Poll, Service, http},
    metadata::MetadataMap,
    server::{Grpc, NamedService},
    transport::{Identity, Server, ServerTlsConfig},
};
use tonic_types::{ErrorDetails, StatusExt as _};

/// One call, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) metadata: MetadataMap,
    pub(crate) message: Bytes,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proved {
    Nothing,
    SignedRequest { nonce: String },
    Token,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn timeout(&self) -> Option<&str> {
        self.header("grpc-timeout")
    }

    /// What the call proves, with a proof that must verify.
    pub(crate) fn proved(&self, key: &PublicKey) -> Proved {
        let token = self.header("authorization");
        let Some(kid) = self.header("x-portcullis-kid") else {
            let Some(token) = token else { return Proved::Nothing };
            let token = Token::parse(token.strip_prefix("Bearer ").expect("Bearer")).expect("a token");
            assert!(key.verify(token.signed.as_bytes(), &token.signature));
            return Proved::Token;
        };
        assert_eq!((kid, token), (key.kid().as_str(), None));
        let header = |name| self.header(name).expect(name);
        let (timestamp, nonce) = (header("x-portcullis-timestamp"), header("x-portcullis-nonce"));
        let text =
            Signed { audience: "portcullis", path: &self.path, timestamp, nonce, kid, message: &self.message }.text();
        let signature = BASE64_STANDARD.decode(header("x-portcullis-signature")).expect("base64");
        assert!(key.verify(text.as_bytes(), &signature), "the signature is not over {:?}", self.message);
        Proved::SignedRequest { nonce: nonce.to_owned() }
    }
}

pub(crate) struct RawServer {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl RawServer {
    pub(crate) fn start() -> Self {
        Self::with(Server::builder())
    }

    pub(crate) fn start_tls(certificate: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::with(Server::builder().tls_config(tls).expect("tls"))
    }

    fn with(mut server: Server) -> Self {
        let runtime = Runtime::new().expect("runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let seen = Arc::default();
        let (reporter, health) = tonic_health::server::health_reporter();
        runtime.block_on(reporter.set_service_status("resting", tonic_health::ServingStatus::NotServing));
        let keys = Scripted::<Keys> { seen: Arc::clone(&seen), of: PhantomData };
        let accounts = Scripted::<Accounts> { seen: Arc::clone(&seen), of: PhantomData };
        let router = server.add_service(health).add_service(keys).add_service(accounts);
        runtime.spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, seen, _runtime: runtime }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls since this was asked last.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("no test panics inside"))
    }
}

#[derive(Clone)]
struct Keys;

impl NamedService for Keys {
    const NAME: &'static str = "portcullis.v1.KeyService";
}

#[derive(Clone)]
struct Accounts;

impl NamedService for Accounts {
    const NAME: &'static str = "portcullis.v1.ServiceAccountService";
}

#[derive(Clone)]
struct Scripted<S> {
    seen: Arc<Mutex<Vec<Seen>>>,
    of: PhantomData<S>,
}

impl<S: NamedService> NamedService for Scripted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Scripted<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let script = Script { path: request.uri().path().to_owned(), seen: Arc::clone(&self.seen) };
        // On the wire a unary answer is a stream of one.
        Box::pin(async move { Ok(Grpc::new(Raw).server_streaming(script, request).await) })
    }
}

struct Script {
    path: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service<Request<Bytes>> for Script {
    type Response = Response<BoxStream<Bytes>>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        let answer = answer(self.path.rsplit('/').next().unwrap_or_default(), &message);
        let seen = Seen { path: self.path.clone(), metadata, message };
        self.seen.lock().expect("no test panics inside").push(seen);
        Box::pin(async move { answer.map(Response::new) })
    }
}

fn answer(method: &str, message: &Bytes) -> Result<BoxStream<Bytes>, Status> {
    let one = |bytes: Vec<u8>| Box::pin(tokio_stream::once(Ok(Bytes::from(bytes)))) as BoxStream<Bytes>;
    match method {
        "CreateKey" if pb::CreateKeyRequest::decode(message.clone()).expect("a request").name == "away" => {
            let mut details = ErrorDetails::new();
            details.set_error_info("COMMIT_UNKNOWN", "portcullis", []).set_retry_info(Some(Duration::from_millis(1)));
            Err(Status::with_error_details(Code::Unavailable, "it may have been written", details))
        }
        "CreateKey" => Ok(one(CreateKeyResponse { key: None, secret: "sk_s".to_owned(), revision: 7 }.encode_to_vec())),
        "ListKeys" => {
            list(pb::ListKeysRequest::decode(message.clone()).expect("a request")).map(|page| one(page.encode_to_vec()))
        }
        "UpdateKey" if message.is_empty() => {
            let mut details = ErrorDetails::new();
            details.set_error_info("FIELD_INVALID", "portcullis", []).add_bad_request_violation("key.name", "too long");
            Err(Status::with_error_details(Code::InvalidArgument, "1 field is invalid", details))
        }
        "GetKey" => Ok(Box::pin(tokio_stream::pending())), // never
        "WatchRevocations" => Ok(watch(WatchRevocationsRequest::decode(message.clone()).expect("a request"))),
        _ => Ok(one(Vec::new())),
    }
}

/// What no good server would answer: names that a terminal obeys, pages without end.
fn list(request: pb::ListKeysRequest) -> Result<pb::ListKeysResponse, Status> {
    let key = |name: &str| pb::Key {
        key_id: "key_0351EJENWPP2d5NoRNjaGc".to_owned(),
        name: name.to_owned(),
        state: pb::KeyState::Active.into(),
        permissions: vec![format!("{name}:read")],
        ..Default::default()
    };
    let begin: usize = request.page_token.parse().unwrap_or_default();
    let page = |all: usize, next: String| {
        let keys = vec![key("k"); usize::try_from(request.page_size).expect("a size").min(all - begin)];
        pb::ListKeysResponse { keys, next_page_token: next, revision: 1 }
    };
    match request.application_id.as_str() {
        "pages" => {
            let end = begin + usize::try_from(request.page_size).expect("a size");
            Ok(page(2500, if end < 2500 { end.to_string() } else { String::new() }))
        }
        "endless" => Ok(page(10_000, "1".to_owned())),
        "hostile" => Err(Status::not_found("\u{1b}[2J\u{9b}31mgone\u{202e}\r")),
        _ => {
            let wide = "鍵の名前 🇨🇭 ".repeat(20);
            let names = ["\u{1b}[2J\u{9b}31mred\u{202e}\u{7f}", "two\r\nlines\tand a tab", &wide];
            Ok(pb::ListKeysResponse { keys: names.map(key).to_vec(), next_page_token: String::new(), revision: 1 })
        }
    }
}

/// Bookmarks: two for "end", one and an error for "fail", else without end.
fn watch(request: WatchRevocationsRequest) -> BoxStream<Bytes> {
    let bookmark = |revision| {
        let item = Some(Item::Bookmark(Bookmark { revision, ..Default::default() }));
        let response = WatchRevocationsResponse { item, resume_token: format!("place-{revision}") };
        Ok(Bytes::from(response.encode_to_vec()))
    };
    match request.application_ids.first().map(String::as_str) {
        Some("end") => Box::pin(tokio_stream::iter([bookmark(1), bookmark(2)])),
        Some("fail") => Box::pin(tokio_stream::iter([bookmark(1), Err(Status::out_of_range("too old"))])),
        _ => Box::pin(tokio_stream::iter(1..).map(bookmark).throttle(Duration::from_millis(5))),
    }
}
