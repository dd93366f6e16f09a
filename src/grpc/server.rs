use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{self, AuthorizationServer};
use tokio::sync::watch;
use tonic::{
    service::Routes,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use super::{
    application_service::ApplicationApi, audit_service::AuditApi, envoy::EnvoyApi, errors::ErrorsLayer,
    frame::MAX_MESSAGE, gate::GateLayer, health, key_service::KeyApi, service_account_service::ServiceAccountApi,
    services::Services, webhook_service::WebhookApi,
};
use crate::{
    accounts::Accounts,
    applications::Applications,
    audit::AuditLog,
    auth::{self, Authenticator},
    entropy::Entropy,
    keys::Keys,
    pb::{
        self, application_service_server::ApplicationServiceServer, audit_service_server::AuditServiceServer,
        key_service_server::KeyServiceServer, service_account_service_server::ServiceAccountServiceServer,
        webhook_service_server::WebhookServiceServer,
    },
    replica::Replica,
    telemetry::{self, RequestId, RequestIdLayer, RpcLayer, Sampler},
    watch::Watches,
    webhooks::Webhooks,
};

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    pub address: SocketAddr,
    /// Without it, loopback only.
    pub tls: Option<Tls>,
    pub reflection: bool,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenRefused {
    #[error("{0} is not loopback, and secrets would cross the network in plain: give --tls-cert and --tls-key")]
    Plaintext(SocketAddr),
    #[error("cannot read {path}: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error("the certificate or its key is not usable: {0}")]
    Certificate(String),
    #[error("cannot listen on {address}: {error}; stop what listens there, or choose another address with --listen")]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error("{0}")]
    Service(String),
}

/// What answers.
#[derive(Debug)]
pub struct Parts {
    pub auth: Arc<Authenticator>,
    pub keys: Keys,
    pub watches: Watches,
    pub applications: Applications,
    pub accounts: Accounts,
    pub audit: AuditLog,
    pub webhooks: Webhooks,
    pub replica: Replica,
    pub entropy: Entropy,
    pub sampler: Sampler,
}

/// A listener that holds its address.
#[derive(Debug)]
pub struct Bound {
    incoming: TcpIncoming,
    address: SocketAddr,
    tls: Option<ServerTlsConfig>,
    reflection: bool,
}

const MAX_STREAMS: u32 = 256;
const MAX_HEADERS: u32 = 16 * 1024;
const MAX_RESETS: usize = 64;
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

impl Bound {
    /// Takes the address, so that a port in use is found before anything else starts.
    pub async fn bind(listen: &Listen) -> Result<Self, ListenRefused> {
        let Listen { address, tls, reflection } = listen;
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(ListenRefused::Plaintext(*address));
        }
        let tls = match tls {
            Some(tls) => Some(tls_config(tls).await?),
            None => None,
        };
        let bind = |error| ListenRefused::Bind { address: *address, error };
        // Without TCP_NODELAY an answer waits 40 ms for an acknowledgement.
        let incoming = TcpIncoming::bind(*address).map_err(bind)?.with_nodelay(Some(true));
        let address = incoming.local_addr().map_err(bind)?;
        Ok(Self { incoming, address, tls, reflection: *reflection })
    }

    /// The address, with the port that was given for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves until `draining` says true and the calls under way have ended.
    pub async fn serve(self, parts: Parts, mut draining: watch::Receiver<bool>) -> Result<(), ListenRefused> {
        let service = |error: &dyn std::fmt::Display| ListenRefused::Service(error.to_string());
        let Parts { auth, keys, watches, applications, accounts, webhooks, audit, replica, entropy, sampler } = parts;
        let keys = Arc::new(keys);
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let reporting = tokio::spawn(health::report(reporter, replica.clone(), draining.clone()));
        let mut builder = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_HEADERS)
            .http2_max_pending_accept_reset_streams(Some(MAX_RESETS))
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PONG_WITHIN));
        if let Some(tls) = self.tls {
            builder = builder.tls_config(tls).map_err(|error| ListenRefused::Certificate(error.to_string()))?;
        }
        let mut others = Routes::new(
            ApplicationServiceServer::new(ApplicationApi { applications }).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            ServiceAccountServiceServer::new(ServiceAccountApi { accounts }).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(AuditServiceServer::new(AuditApi { audit }).max_decoding_message_size(MAX_MESSAGE))
        .add_service(WebhookServiceServer::new(WebhookApi { webhooks }).max_decoding_message_size(MAX_MESSAGE))
        .add_service(AuthorizationServer::new(EnvoyApi::new(Arc::clone(&keys))).max_decoding_message_size(MAX_MESSAGE))
        .add_service(health_service);
        if self.reflection {
            others = others
                .add_service(reflection().build_v1().map_err(|e| service(&e))?)
                .add_service(reflection().build_v1alpha().map_err(|e| service(&e))?);
        }
        let keys = KeyServiceServer::new(KeyApi { keys, watches, replica }).max_decoding_message_size(MAX_MESSAGE);
        let server = builder
            .layer(RequestIdLayer::new(move || RequestId::from_random(entropy.name())))
            .layer(RpcLayer::new(known_method, sampler))
            .layer(ErrorsLayer)
            .layer(GateLayer { auth });
        let drained = async move {
            let _ = draining.wait_for(|draining| *draining).await;
        };
        let services = Services { keys, others: others.prepare() };
        let served = server.serve_with_incoming_shutdown(services, self.incoming, drained).await;
        reporting.abort();
        served.map_err(|error| service(&error))
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl can read the details of an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// How a call is told in logs and traces.
fn known_method(path: &str) -> Option<telemetry::Method> {
    const OPEN: [&str; 4] = [
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ];
    let Some(method) = auth::Method::find(path) else {
        let name = OPEN.into_iter().find(|name| path.strip_prefix('/') == Some(name))?;
        return Some(telemetry::Method { name, kind: telemetry::MethodKind::HotRead });
    };
    let kind = match method {
        // Envoy tells nobody why it was refused.
        method if method.name().starts_with(authorization_server::SERVICE_NAME) => telemetry::MethodKind::ProxyRead,
        auth::Method { nonce_in_memory: true, .. } => telemetry::MethodKind::HotRead,
        method if method.is_mutation() => telemetry::MethodKind::Mutation,
        _ => telemetry::MethodKind::Read,
    };
    Some(telemetry::Method { name: method.name(), kind })
}

async fn tls_config(tls: &Tls) -> Result<ServerTlsConfig, ListenRefused> {
    let certificate = read(&tls.certificate).await?;
    let key = read(&tls.key).await?;
    Ok(ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)))
}

async fn read(path: &std::path::Path) -> Result<Vec<u8>, ListenRefused> {
    let unreadable = |error| ListenRefused::Unreadable { path: path.display().to_string(), error };
    tokio::fs::read(path).await.map_err(unreadable)
}
