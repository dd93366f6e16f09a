use std::time::Duration;

use bytes::Bytes;
use tonic::{Request, Status, Streaming, client::Grpc, transport::Channel};

use super::{Credentials, MAX_LIFETIME, Method, Raw, SigningFailed, causes, signer, told};
use crate::pb::Credential;

/// The largest page: 1,000 keys with all their lists full is below this.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// How a call is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// As the method's descriptor asks: nothing, a token, or a signed request.
    AsNeeded,
    /// A signed request, also where a token would do.
    SignedRequest,
}

impl Proof {
    /// Whether a call of `method` needs credentials.
    #[must_use]
    pub fn needs_credentials(self, method: &Method) -> bool {
        self == Self::SignedRequest || method.credential().is_some()
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    #[error("{0} needs credentials")]
    NoCredentials(String),
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    #[error(transparent)]
    Status(#[from] Status),
    /// And would do so again.
    #[error("the connection to the server is of no use: {0}")]
    Ended(String),
}

/// Makes calls over one connection. Each attempt is signed anew; nothing is repeated on
/// its own, since a repeat of the same bytes is refused as a replay.
#[derive(Debug)]
pub struct Client {
    channel: Channel,
    credentials: Option<Credentials>,
}

impl Client {
    #[must_use]
    pub fn new(channel: Channel, credentials: Option<Credentials>) -> Self {
        Self { channel, credentials }
    }

    /// Whose calls it makes.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Sends one message and returns the one that answers it. `timeout` is for the whole
    /// call, and is told to the server.
    pub async fn unary(
        &self,
        method: &Method,
        message: Bytes,
        proof: Proof,
        timeout: Duration,
    ) -> Result<Bytes, CallFailed> {
        let mut request = self.request(method, message, proof)?;
        request.set_timeout(timeout);
        let call = async {
            let mut grpc = self.ready().await?;
            grpc.unary(request, method.path(), Raw).await
        };
        // Biased: tonic watches the same deadline, and would call its end CANCELLED.
        let by = if method.takes_request_id() { " with the same request_id" } else { "" };
        tokio::select! {
            biased;
            () = tokio::time::sleep(timeout) => Err(Status::deadline_exceeded(format!(
                "no answer within {timeout:?}; what was asked may be done: if it was a change, repeat it{by}"
            )).into()),
            answer = call => match answer {
                Ok(answer) => Ok(answer.into_inner()),
                Err(status) => Err(told(&self.channel, status).await),
            },
        }
    }

    /// Sends one message and returns the stream that answers it.
    pub async fn stream(&self, method: &Method, message: Bytes, proof: Proof) -> Result<Streaming<Bytes>, CallFailed> {
        let request = self.request(method, message, proof)?;
        let mut grpc = self.ready().await?;
        match grpc.server_streaming(request, method.path(), Raw).await {
            Ok(answers) => Ok(answers.into_inner()),
            Err(status) => Err(told(&self.channel, status).await),
        }
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER);
        grpc.ready().await.map_err(|e| Status::unavailable(format!("the connection is lost: {}", causes(&e))))?;
        Ok(grpc)
    }

    fn request(&self, method: &Method, message: Bytes, proof: Proof) -> Result<Request<Bytes>, CallFailed> {
        let mut request = Request::new(message);
        if !proof.needs_credentials(method) {
            return Ok(request);
        }
        let path = method.path();
        let Some(credentials) = &self.credentials else {
            return Err(CallFailed::NoCredentials(path.to_string()));
        };
        if proof == Proof::SignedRequest || method.credential() == Some(Credential::SignedRequest) {
            let headers = signer::sign_request_now(credentials, path.as_str(), request.get_ref())?;
            headers.apply(request.metadata_mut())?;
        } else {
            let token = signer::sign_token_now(credentials, &credentials.account().audience, MAX_LIFETIME)?;
            signer::apply_token(&token, request.metadata_mut())?;
        }
        Ok(request)
    }
}
