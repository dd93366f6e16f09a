use base64::{Engine as _, prelude::BASE64_STANDARD};
use portcullis::{
    client::Raw,
    signing::{self, DEFAULT_AUDIENCE, Signed},
};
use prost::Message;
use tonic::{Request, Response, Status, Streaming, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_types::StatusExt as _;

use super::{Persona, Server};

/// The metadata of a signed call, to be bent before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// As an honest caller makes them.
    pub(crate) fn sign(persona: &Persona, path: &str, message: &[u8], seconds: i64, nonce: &str) -> Self {
        Self::sign_for(DEFAULT_AUDIENCE, persona, path, message, &seconds.to_string(), nonce)
    }

    pub(crate) fn sign_for(
        audience: &str,
        persona: &Persona,
        path: &str,
        message: &[u8],
        timestamp: &str,
        nonce: &str,
    ) -> Self {
        let kid = persona.kid();
        let text = Signed { audience, path, timestamp, nonce, kid: &kid, message }.text();
        let signature = BASE64_STANDARD.encode(persona.key.sign(text.as_bytes()).expect("sign"));
        Self(vec![
            (signing::KID.to_owned(), kid),
            (signing::TIMESTAMP.to_owned(), timestamp.to_owned()),
            (signing::NONCE.to_owned(), nonce.to_owned()),
            (signing::SIGNATURE.to_owned(), signature),
        ])
    }

    pub(crate) fn bearer(token: &str) -> Self {
        Self(vec![("authorization".to_owned(), format!("Bearer {token}"))])
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.0 {
            let name: tonic::metadata::MetadataKey<_> = name.parse().expect("name");
            request.metadata_mut().append(name, value.parse().expect("value"));
        }
        request
    }
}

pub(crate) fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The bytes behind the gRPC prefix.
pub(crate) fn message_bytes(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// `KeyService/GetKey` to `/portcullis.v1.KeyService/GetKey`. What is a path stays as it is.
pub(crate) fn path(method: &str) -> String {
    if method.starts_with('/') { method.to_owned() } else { format!("/portcullis.v1.{method}") }
}

/// A signed call.
pub(crate) async fn signed<Q: Message, A: Message + Default>(
    server: &Server,
    persona: &Persona,
    method: &str,
    request: &Q,
) -> Result<A, Status> {
    let bytes = request.encode_to_vec();
    let headers = Headers::sign(persona, &path(method), &bytes, server.now().seconds(), &nonce());
    with_headers(server, method, bytes, &headers).await
}

/// A call with these headers and these message bytes.
pub(crate) async fn with_headers<A: Message + Default>(
    server: &Server,
    method: &str,
    message: Vec<u8>,
    headers: &Headers,
) -> Result<A, Status> {
    let answer = exchange(server, &path(method), message, headers).await?;
    Ok(A::decode(answer.into_inner()).expect("the answer reads"))
}

/// A call of any path, with the metadata of its answer.
pub(crate) async fn exchange(
    server: &Server,
    path: &str,
    message: Vec<u8>,
    headers: &Headers,
) -> Result<Response<bytes::Bytes>, Status> {
    exchange_over(server.channel(), path, message, headers).await
}

/// As [`exchange`], over another connection.
pub(crate) async fn exchange_over(
    channel: Channel,
    path: &str,
    message: Vec<u8>,
    headers: &Headers,
) -> Result<Response<bytes::Bytes>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unknown(format!("no connection: {error}")))?;
    let path = PathAndQuery::try_from(path).expect("path");
    grpc.unary(headers.request(message.into()), path, Raw).await
}

/// A stream of answers.
pub(crate) async fn stream<Q: Message>(
    server: &Server,
    method: &str,
    request: &Q,
    headers: &Headers,
) -> Result<Streaming<bytes::Bytes>, Status> {
    stream_over(server.channel(), method, request, headers).await
}

/// As [`stream`], over another connection.
pub(crate) async fn stream_over<Q: Message>(
    channel: Channel,
    method: &str,
    request: &Q,
    headers: &Headers,
) -> Result<Streaming<bytes::Bytes>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unknown(format!("no connection: {error}")))?;
    let path = PathAndQuery::try_from(path(method)).expect("path");
    let message: bytes::Bytes = request.encode_to_vec().into();
    Ok(grpc.server_streaming(headers.request(message), path, Raw).await?.into_inner())
}

/// The `reason` of a status.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("every error has a reason: {status:?}"));
    assert_eq!(info.domain, "portcullis");
    assert!(details.request_info().is_some_and(|info| !info.request_id.is_empty()), "and a request id: {status:?}");
    info.reason.clone()
}

/// The fields that were wrong.
pub(crate) fn violations(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details.bad_request().unwrap_or_else(|| panic!("field violations: {status:?}"));
    bad.field_violations.iter().map(|violation| violation.field.clone()).collect()
}
