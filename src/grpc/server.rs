use std::{convert::Infallible, sync::Arc, time::Duration};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{self, AuthorizationServer};
use futures_util::stream::poll_fn;
use tokio::sync::watch;
use tonic::{service::Routes, transport::Server};

use super::{
    application_service::ApplicationApi,
    audit_service::AuditApi,
    envoy::EnvoyApi,
    errors::ErrorsLayer,
    frame::{MAX_IMPORT, MAX_MESSAGE, MAX_OPEN},
    gate::GateLayer,
    health,
    key_service::KeyApi,
    listen::{Bound, ListenRefused, Load, accept},
    reflection::reflected,
    service_account_service::ServiceAccountApi,
    services::Services,
    used::UsedLayer,
    webhook_service::WebhookApi,
};
use crate::{
    accounts::Accounts,
    applications::Applications,
    audit::AuditLog,
    auth::{self, Authenticator},
    entropy::Entropy,
    keys::Keys,
    pb::{
        application_service_server::ApplicationServiceServer, audit_service_server::AuditServiceServer,
        key_service_server::KeyServiceServer, service_account_service_server::ServiceAccountServiceServer,
        webhook_service_server::WebhookServiceServer,
    },
    replica::Replica,
    telemetry::{self, RequestId, RequestIdLayer, RpcLayer, Sampler},
    watch::Watches,
    webhooks::Webhooks,
};

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

/// Of one connection. How many connections and calls there may be is set: [`super::Ceilings`].
const MAX_STREAMS: u32 = 256;
const MAX_HEADERS: u32 = 16 * 1024;
const MAX_RESETS: usize = 64;
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

impl Bound {
    /// Serves until `draining` says true and the calls under way have ended.
    pub async fn serve(self, parts: Parts, mut draining: watch::Receiver<bool>) -> Result<(), ListenRefused> {
        let service = |error: &dyn std::fmt::Display| ListenRefused::Service(error.to_string());
        let Parts { auth, keys, watches, applications, accounts, webhooks, audit, replica, entropy, sampler } = parts;
        let keys = Arc::new(keys);
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let reporting = tokio::spawn(health::report(reporter, replica.clone(), draining.clone()));
        let builder = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_HEADERS)
            .http2_max_pending_accept_reset_streams(Some(MAX_RESETS))
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PONG_WITHIN));
        let mut others = Routes::new(
            ApplicationServiceServer::new(ApplicationApi { applications }).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            ServiceAccountServiceServer::new(ServiceAccountApi { accounts }).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(AuditServiceServer::new(AuditApi { audit }).max_decoding_message_size(MAX_MESSAGE))
        .add_service(WebhookServiceServer::new(WebhookApi { webhooks }).max_decoding_message_size(MAX_MESSAGE))
        .add_service(AuthorizationServer::new(EnvoyApi::new(Arc::clone(&keys))).max_decoding_message_size(MAX_MESSAGE))
        .add_service(health_service.max_decoding_message_size(MAX_OPEN));
        if self.reflection {
            others = reflected(others).map_err(|error| service(&error))?;
        }
        // The gate has looked at each method's own limit.
        let keys = KeyServiceServer::new(KeyApi { keys, watches, replica }).max_decoding_message_size(MAX_IMPORT);
        let server = builder
            .layer(UsedLayer)
            .layer(RequestIdLayer::new(move || RequestId::from_random(entropy.name())))
            .layer(RpcLayer::new(known_method, sampler))
            .layer(ErrorsLayer)
            .layer(GateLayer { auth });
        let drained = async move {
            let _ = draining.wait_for(|draining| *draining).await;
        };
        let services = Services { keys, others: others.prepare() };
        let Self { listener, certificates, ceilings, .. } = self;
        let following = certificates.clone().map(|certificates| tokio::spawn(certificates.follow()));
        let mut taken = accept(listener, certificates, Load::new(ceilings), ceilings);
        let incoming = poll_fn(move |context| taken.poll_recv(context).map(|next| next.map(Ok::<_, Infallible>)));
        let served = server.serve_with_incoming_shutdown(services, incoming, drained).await;
        reporting.abort();
        if let Some(following) = following {
            following.abort();
        }
        served.map_err(|error| service(&error))
    }
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
