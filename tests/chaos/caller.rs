//! Calls one replica, as a client that knows nothing of the others.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use portcullis::{
    client::{Credentials, Headers, MAX_LIFETIME, Raw, sign_request, sign_token},
    pb,
};
use prost::Message;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Uri},
};
use tonic_types::StatusExt as _;

use crate::program::Replica;

/// Who calls: an account, and a token that is dear to sign.
#[derive(Debug)]
pub(crate) struct Caller {
    credentials: Credentials,
    /// How far its time of day is ahead of the machine's, in seconds.
    ahead: AtomicI64,
    /// And how far it was when it was signed.
    token: Mutex<Option<(i64, SecretString)>>,
}

/// A way to one replica.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    caller: Arc<Caller>,
    channel: Channel,
}

impl Caller {
    pub(crate) fn read(path: &Path) -> Arc<Self> {
        Self::of(Credentials::read(path).expect("credentials"))
    }

    pub(crate) fn of(credentials: Credentials) -> Arc<Self> {
        Arc::new(Self { credentials, ahead: AtomicI64::new(0), token: Mutex::default() })
    }

    /// Its time of day is stepped, too: what it signs is dated by it.
    pub(crate) fn step_to(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_secs()).expect("a time") + self.ahead.load(Ordering::SeqCst)
    }

    pub(crate) fn client(self: &Arc<Self>, replica: &Replica) -> Client {
        let port = replica.port;
        let endpoint = Channel::from_shared(format!("http://127.0.0.1:{port}")).expect("an address");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(1));
        let channel = match &replica.link {
            None => endpoint.connect_lazy(),
            Some(link) => {
                let spoke = Arc::clone(&link.spoke);
                endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
                    let spoke = Arc::clone(&spoke);
                    async move {
                        let way = tokio::task::spawn_blocking(move || spoke.connect(port)).await?;
                        io::Result::Ok(TokioIo::new(tokio::net::TcpStream::from_std(way?)?))
                    }
                }))
            }
        };
        Client { caller: Arc::clone(self), channel }
    }

    /// The headers of a call that may be sent once.
    pub(crate) fn sign(&self, method: &str, message: &[u8]) -> Headers {
        let nonce = format!("{:032x}", rand::random::<u128>());
        sign_request(&self.credentials, path(method).as_str(), message, self.now(), &nonce).expect("a signature")
    }

    /// Good also where a server's time of day is some minutes behind.
    fn token(&self) -> SecretString {
        let (ahead, mut token) = (self.ahead.load(Ordering::SeqCst), self.token.lock().expect("lock"));
        if let Some((of, token)) = &*token
            && *of == ahead
        {
            return token.clone();
        }
        let made =
            sign_token(&self.credentials, &self.credentials.account().audience, MAX_LIFETIME, self.now() - EARLY);
        let made = made.expect("a token");
        *token = Some((ahead, made.clone()));
        made
    }
}

/// How many seconds before now a token is dated.
const EARLY: i64 = 600;

impl Client {
    /// The same way, for somebody else.
    pub(crate) fn by(&self, caller: &Arc<Caller>) -> Self {
        Self { caller: Arc::clone(caller), channel: self.channel.clone() }
    }

    /// Signs and calls.
    pub(crate) async fn signed<A: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
        within: Duration,
    ) -> Result<A, Status> {
        let message = request.encode_to_vec();
        let headers = self.caller.sign(method, &message);
        self.send(method, message, &headers, within).await
    }

    /// Sends what was signed before, perhaps to another replica, too.
    pub(crate) async fn send<A: Message + Default>(
        &self,
        method: &str,
        message: Vec<u8>,
        headers: &Headers,
        within: Duration,
    ) -> Result<A, Status> {
        let mut request = Request::new(Bytes::from(message));
        headers.apply(request.metadata_mut()).expect("headers");
        self.unary(method, request, within).await
    }

    pub(crate) async fn by_token<A: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
        within: Duration,
    ) -> Result<A, Status> {
        self.unary(method, self.with_token(request), within).await
    }

    pub(crate) async fn stream(&self, method: &str, request: &impl Message) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.ready().await?;
        Ok(grpc.server_streaming(self.with_token(request), path(method), Raw).await?.into_inner())
    }

    fn with_token(&self, request: &impl Message) -> Request<Bytes> {
        let mut request = Request::new(Bytes::from(request.encode_to_vec()));
        let value = format!("Bearer {}", self.caller.token().expose_secret()).parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
        request
    }

    async fn unary<A: Message + Default>(
        &self,
        method: &str,
        mut request: Request<Bytes>,
        within: Duration,
    ) -> Result<A, Status> {
        request.set_timeout(within);
        let call = async {
            let mut grpc = self.ready().await?;
            grpc.unary(request, path(method), Raw).await
        };
        let late = |_| Status::deadline_exceeded("no answer");
        let answer = tokio::time::timeout(within, call).await.map_err(late)??.into_inner();
        A::decode(answer).map_err(|error| Status::internal(error.to_string()))
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(format!("no connection: {error}")))?;
        Ok(grpc)
    }
}

/// The reason of a refusal; empty where the server said none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

pub(crate) fn create(application_id: &str, name: &str) -> pb::CreateKeyRequest {
    pb::CreateKeyRequest {
        application_id: application_id.to_owned(),
        name: name.to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    }
}

pub(crate) fn revoke(key: &pb::Key, wait: pb::RevokeWait) -> pb::RevokeKeyRequest {
    pb::RevokeKeyRequest {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        wait: wait.into(),
        ..Default::default()
    }
}

pub(crate) fn verify(secret: &str) -> pb::VerifyKeyRequest {
    let subject = Some(pb::verify_key_request::Subject::Secret(secret.to_owned()));
    pb::VerifyKeyRequest { subject, ..Default::default() }
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/portcullis.v1.{method}")).expect("a path")
}
