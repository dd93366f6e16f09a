//! What both servers are asked: one request of one verifier about one key, the same each time.

use std::time::Duration;

use prost::Message;
use secrecy::ExposeSecret as _;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::super::failure::Failure;
use crate::{
    client::{Account, Client, Credentials, MAX_LIFETIME, Proof, Schema, sign_token_now},
    pb,
    signing::PrivateKey,
};

const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Asked {
    request: pb::VerifyKeyRequest,
    authorization: MetadataValue<Ascii>,
    api: Api,
    key_id: String,
}

/// The server writes down what it counted each second; it may take ten.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Asked {
    /// Makes the verifier and the key, as an admin does it.
    pub(super) async fn make(admin: Credentials, channel: Channel) -> Result<Self, Failure> {
        let audience = admin.account().audience.clone();
        let api = Api { client: Client::new(channel, Some(admin)), schema: Schema::new() };
        let application = pb::Application { name: "bench".to_owned(), ..Default::default() };
        let create = pb::CreateApplicationRequest { application: Some(application), ..Default::default() };
        let made: pb::CreateApplicationResponse = api.call("ApplicationService/CreateApplication", &create).await?;
        let application_id = made.application.unwrap_or_default().application_id;

        let authorization = api.verifier(&application_id, audience).await?;
        let made: pb::CreateKeyResponse = api.call("KeyService/CreateKey", &key(&application_id)).await?;
        let key_id = made.key.unwrap_or_default().key_id;
        Ok(Self { request: question(application_id, made.secret), authorization, api, key_id })
    }

    /// Waits until the server says that it counted so many calls, neither more nor fewer: a
    /// server that counts nothing has less to do.
    pub(super) async fn must_be_counted(&self, calls: u64) -> Result<(), Failure> {
        let application_id = self.request.application_id.clone();
        let get = pb::GetKeyUsageRequest { application_id, key_id: self.key_id.clone(), ..Default::default() };
        let mut counted = 0;
        for _ in 0..LOOKS {
            let usage: pb::GetKeyUsageResponse = self.api.call("KeyService/GetKeyUsage", &get).await?;
            counted = usage.requests;
            if u64::try_from(counted) == Ok(calls) && usage.denied == 0 {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Failure::failed(format!("the server counted {counted} of {calls} calls")))
    }

    /// The request, ready to be sent.
    pub(super) fn request(&self) -> Request<pb::VerifyKeyRequest> {
        let mut request = Request::new(self.request.clone());
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    /// How many bytes the message has, and the header that proves its caller.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.request.encoded_len(), self.authorization.as_encoded_bytes().len())
    }
}

/// A key on which every check has something to do, and one limit that is not reached.
fn key(application_id: &str) -> pb::CreateKeyRequest {
    let hour = prost_types::Duration { seconds: 3600, nanos: 0 };
    let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
    pb::CreateKeyRequest {
        application_id: application_id.to_owned(),
        name: "bench".to_owned(),
        permissions: ["tasks:read", "tasks:write", "users:read"].map(str::to_owned).to_vec(),
        labels: vec![pb::Label { key: "team".to_owned(), value: "search".to_owned() }],
        ip_allowlist: texts(["192.0.2.0/24", "2001:db8::/32"]),
        referrer_allowlist: texts(["https://app.example.com", "*.example.org"]),
        resource_allowlist: texts(["files/*", "reports/2026"]),
        rate_limits: vec![pb::RateLimit { name: "hour".to_owned(), limit: 1_000_000_000, window: Some(hour) }],
        expiration: Some(pb::create_key_request::Expiration::Ttl(hour)),
        ..Default::default()
    }
}

/// A question that the key passes, with all the facts that a gateway states.
fn question(application_id: String, secret: String) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret(secret)),
        application_id,
        environment: pb::KeyEnvironment::Live.into(),
        required_permissions: vec!["tasks:read".to_owned()],
        client_ip: "192.0.2.7".to_owned(),
        referrer: "https://app.example.com".to_owned(),
        resource: "files/a".to_owned(),
        ..Default::default()
    }
}

struct Api {
    client: Client,
    schema: Schema,
}

impl Api {
    async fn call<A: Message + Default>(&self, method: &str, request: &impl Message) -> Result<A, Failure> {
        let method = self.schema.method(method).map_err(Failure::failed)?;
        let message = request.encode_to_vec().into();
        let answer = self.client.unary(&method, message, Proof::AsNeeded, TIMEOUT).await?;
        A::decode(answer).map_err(Failure::failed)
    }

    /// A service account that may verify and nothing else, and its token.
    async fn verifier(&self, application_id: &str, audience: String) -> Result<MetadataValue<Ascii>, Failure> {
        let account = pb::ServiceAccount {
            name: "bench".to_owned(),
            roles: vec![pb::Role::Verifier.into()],
            application_ids: vec![application_id.to_owned()],
            ..Default::default()
        };
        let create = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        let made: pb::CreateServiceAccountResponse =
            self.call("ServiceAccountService/CreateServiceAccount", &create).await?;
        let made = made.service_account.unwrap_or_default();
        let account = Account {
            client_id: made.service_account_id.clone(),
            client_email: made.client_email,
            audience: audience.clone(),
            endpoint: None,
        };
        let credentials = Credentials::new(account, PrivateKey::generate().map_err(Failure::failed)?);
        let add = pb::AddServiceAccountKeyRequest {
            service_account_id: made.service_account_id,
            public_key_pem: credentials.public_key().to_pem().to_owned(),
            ..Default::default()
        };
        let _: pb::AddServiceAccountKeyResponse = self.call("ServiceAccountService/AddServiceAccountKey", &add).await?;
        let token = sign_token_now(&credentials, &audience, MAX_LIFETIME).map_err(Failure::failed)?;
        // HTTP/2 libraries send this header anew each time, marked as sensitive or not.
        format!("Bearer {}", token.expose_secret()).parse().map_err(Failure::failed)
    }
}
