//! The admin of a deployment, calling one replica. What is asked is signed beforehand: a signature
//! costs the caller more CPU time than the call costs the server.

use std::{path::Path, sync::Arc, time::Duration};

use portcullis::{
    client::{Credentials, MAX_LIFETIME, Tls, connect, sign_request_now, sign_token_now},
    pb::{self, application_service_client::ApplicationServiceClient, key_service_client::KeyServiceClient},
};
use prost::Message;
use secrecy::ExposeSecret as _;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;

#[derive(Clone)]
pub(crate) struct Caller {
    keys: KeyServiceClient<Channel>,
    applications: ApplicationServiceClient<Channel>,
    credentials: Arc<Credentials>,
    /// Good for an hour.
    token: MetadataValue<Ascii>,
}

/// How long a call may take of which nothing else is said.
const PATIENCE: Duration = Duration::from_secs(29);

impl Caller {
    /// None where nobody listens.
    pub(crate) async fn connect(endpoint: &str, credentials: &Path) -> Option<Self> {
        let channel = connect(&endpoint.parse().expect("an endpoint"), &Tls::default()).await.ok()?;
        let credentials = Credentials::read(credentials).expect("credentials");
        let audience = credentials.account().audience.clone();
        let token = sign_token_now(&credentials, &audience, MAX_LIFETIME).expect("a token");
        Some(Self {
            keys: KeyServiceClient::new(channel.clone()),
            applications: ApplicationServiceClient::new(channel),
            token: format!("Bearer {}", token.expose_secret()).parse().expect("a header"),
            credentials: Arc::new(credentials),
        })
    }

    pub(crate) async fn application(&self) -> String {
        let application = Some(pb::Application { name: "bench".to_owned(), ..Default::default() });
        let create = pb::CreateApplicationRequest { application, ..Default::default() };
        let request = self.signed("ApplicationService/CreateApplication", create, PATIENCE);
        let made = self.applications.clone().create_application(request).await.expect("an application").into_inner();
        made.application.expect("an application").application_id
    }

    /// A call that makes a key. It waits for every replica, as it does by default.
    pub(crate) fn creation(&self, application_id: &str) -> Request<pb::CreateKeyRequest> {
        self.signed("KeyService/CreateKey", creation(application_id), PATIENCE)
    }

    /// As [`Caller::creation`], and waits for nobody.
    pub(crate) fn hasty_creation(&self, application_id: &str) -> Request<pb::CreateKeyRequest> {
        let create = pb::CreateKeyRequest { wait: pb::RevokeWait::None.into(), ..creation(application_id) };
        self.signed("KeyService/CreateKey", create, PATIENCE)
    }

    pub(crate) fn revocation(&self, application_id: &str, key_id: &str) -> Request<pb::RevokeKeyRequest> {
        self.revocation_within(application_id, key_id, PATIENCE)
    }

    pub(crate) fn revocation_within(
        &self,
        application_id: &str,
        key_id: &str,
        timeout: Duration,
    ) -> Request<pb::RevokeKeyRequest> {
        let (application_id, key_id) = (application_id.to_owned(), key_id.to_owned());
        let revoke = pb::RevokeKeyRequest { application_id, key_id, ..Default::default() };
        self.signed("KeyService/RevokeKey", revoke, timeout)
    }

    pub(crate) async fn create(&self, request: Request<pb::CreateKeyRequest>) -> Result<pb::CreateKeyResponse, String> {
        self.keys.clone().create_key(request).await.map(tonic::Response::into_inner).map_err(|status| why(&status))
    }

    pub(crate) async fn revoke(&self, request: Request<pb::RevokeKeyRequest>) -> Result<(), String> {
        self.keys.clone().revoke_key(request).await.map(drop).map_err(|status| why(&status))
    }

    /// The verdict's name, or the reason why there is none.
    pub(crate) async fn verify(&self, secret: &str) -> Result<pb::Verdict, String> {
        let subject = Some(pb::verify_key_request::Subject::Secret(secret.to_owned()));
        let mut request = Request::new(pb::VerifyKeyRequest { subject, ..Default::default() });
        request.metadata_mut().insert("authorization", self.token.clone());
        request.set_timeout(Duration::from_secs(5));
        let answer = self.keys.clone().verify_key(request).await.map_err(|status| why(&status))?;
        Ok(answer.into_inner().verdict())
    }

    pub(crate) async fn list(&self, application_id: &str) -> Result<(), String> {
        let list =
            pb::ListKeysRequest { application_id: application_id.to_owned(), page_size: 1000, ..Default::default() };
        let mut request = Request::new(list);
        request.metadata_mut().insert("authorization", self.token.clone());
        self.keys.clone().list_keys(request).await.map(drop).map_err(|status| why(&status))
    }

    fn signed<M: Message>(&self, method: &str, message: M, timeout: Duration) -> Request<M> {
        let path = format!("/portcullis.v1.{method}");
        let headers = sign_request_now(&self.credentials, &path, &message.encode_to_vec()).expect("a signature");
        let mut request = Request::new(message);
        headers.apply(request.metadata_mut()).expect("headers");
        request.set_timeout(timeout);
        request
    }
}

fn creation(application_id: &str) -> pb::CreateKeyRequest {
    pb::CreateKeyRequest {
        application_id: application_id.to_owned(),
        name: "key".to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    }
}

/// The reason of an error, or its code where there is none.
fn why(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => format!("{:?}", status.code()),
    }
}
