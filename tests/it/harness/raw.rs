use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use prost::Message;
use tonic::{Code, Status};

use super::{Headers, Server, call};

/// A request as no client sends it: any headers, any DATA frames, any end.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) verb: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Each is a DATA frame.
    pub(crate) data: Vec<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
    /// Whether the caller ever says that it has said all.
    pub(crate) ends: bool,
}

impl Wire {
    /// As an honest client sends it.
    pub(crate) fn new(method: &str, message: &[u8], headers: &Headers) -> Self {
        let mut map = header_map(headers);
        map.insert("content-type", HeaderValue::from_static("application/grpc"));
        map.insert("te", HeaderValue::from_static("trailers"));
        let (path, data) = (call::path(method), vec![frame(message)]);
        Self { verb: Method::POST, path, headers: map, data, trailers: None, ends: true }
    }

    /// A bent copy.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut copy = self.clone();
        change(&mut copy);
        copy
    }

    /// A copy with these values of a header, and no other.
    pub(crate) fn header<V: AsRef<[u8]>>(&self, name: &'static str, values: &[V]) -> Self {
        self.with(|wire| {
            wire.headers.remove(name);
            for value in values {
                let value = HeaderValue::from_bytes(value.as_ref()).expect("what HTTP can carry");
                wire.headers.append(name, value);
            }
        })
    }

    /// A copy with another body, whole in one DATA frame.
    pub(crate) fn body(&self, body: impl Into<Bytes>) -> Self {
        self.with(|wire| wire.data = vec![body.into()])
    }
}

pub(crate) fn header_map(headers: &Headers) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        (name.parse::<HeaderName>().expect("name"), HeaderValue::from_str(value).expect("value"))
    };
    headers.0.iter().map(pair).collect()
}

/// A message behind its gRPC prefix.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    frame_with(0, u32::try_from(message.len()).expect("short"), message)
}

pub(crate) fn frame_with(flag: u8, length: u32, message: &[u8]) -> Bytes {
    [&[flag][..], &length.to_be_bytes(), message].concat().into()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Answer {
    /// As a gRPC client reads it.
    pub(crate) fn result<A: Message + Default>(&self) -> Result<A, Status> {
        assert_eq!(self.http, StatusCode::OK, "gRPC answers are 200");
        let status = Status::from_header_map(&self.headers).or_else(|| Status::from_header_map(&self.trailers));
        let status = status.expect("grpc-status");
        if status.code() == Code::Ok { Ok(A::decode(&self.body[5..]).expect("reads")) } else { Err(status) }
    }
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct RawClient {
    send: SendRequest<Bytes>,
    authority: String,
}

const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl RawClient {
    pub(crate) async fn connect(server: &Server) -> Self {
        let tcp = tokio::net::TcpStream::connect(server.running().address()).await.expect("connect");
        Self::over(server, tcp).await
    }

    pub(crate) async fn over(server: &Server, tcp: tokio::net::TcpStream) -> Self {
        let authority = server.running().address().to_string();
        // With the window of a client of gRPC: one of HTTP/2's own size takes the answers to a burst for a flood.
        let mut client = h2::client::Builder::new();
        let handshake = client.initial_connection_window_size(1 << 20).handshake(tcp);
        let (send, connection) = handshake.await.expect("handshake");
        // Ends with its last handle; how it ended is what the calls on it are told.
        tokio::spawn(connection);
        Self { send, authority }
    }

    /// Sends a request and waits for the whole answer.
    pub(crate) async fn send(&self, wire: &Wire) -> Result<Answer, h2::Error> {
        self.send_after(wire, std::future::ready(())).await
    }

    /// Sends the headers, waits for `between`, and sends the message then.
    pub(crate) async fn send_after(&self, wire: &Wire, between: impl Future<Output = ()>) -> Result<Answer, h2::Error> {
        let whole = async {
            let (response, _open) = self.open(wire, between).await?;
            let (parts, mut stream) = response.into_parts();
            let mut body = Vec::new();
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                body.extend_from_slice(&chunk);
            }
            let trailers = stream.trailers().await?.unwrap_or_default();
            Ok(Answer { http: parts.status, headers: parts.headers, body, trailers })
        };
        tokio::time::timeout(SILENCE, whole).await.expect("an answer")
    }

    /// Whether a call is let through; a stream of answers is left as soon as it begins.
    pub(crate) async fn passes(&self, wire: &Wire) -> Result<(), Status> {
        let head = tokio::time::timeout(SILENCE, self.open(wire, std::future::ready(()))).await.expect("an answer");
        let (response, _open) = head.expect("a response");
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(()),
        }
    }

    /// A stream of answers that has begun.
    pub(crate) async fn stream(&self, wire: &Wire) -> RecvStream {
        let head = tokio::time::timeout(SILENCE, self.open(wire, std::future::ready(()))).await.expect("an answer");
        head.expect("a response").0.into_body()
    }

    /// The request is reset when what comes beside the response is dropped before its end.
    async fn open(
        &self,
        wire: &Wire,
        between: impl Future<Output = ()>,
    ) -> Result<(http::Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let mut request = Request::new(());
        *request.method_mut() = wire.verb.clone();
        *request.uri_mut() = format!("http://{}{}", self.authority, wire.path).parse().expect("uri");
        *request.headers_mut() = wire.headers.clone();
        let bodiless = wire.ends && wire.data.is_empty() && wire.trailers.is_none();
        let (response, mut stream) = self.send.clone().ready().await?.send_request(request, bodiless)?;
        between.await;
        for (at, data) in wire.data.iter().enumerate() {
            let last = wire.ends && wire.trailers.is_none() && at + 1 == wire.data.len();
            // The server may have refused before it heard all; its answer says why.
            if stream.send_data(data.clone(), last).is_err() {
                break;
            }
        }
        if let Some(trailers) = &wire.trailers {
            let _ = stream.send_trailers(trailers.clone());
        }
        Ok((response.await?, stream))
    }
}
