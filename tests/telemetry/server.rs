//! A real gRPC server behind the layers: the health service.

use std::net::SocketAddr;

use portcullis::telemetry::{Method, MethodKind, RequestId, RequestIdLayer, RpcLayer, Sampler};
use tokio::task::JoinHandle;
use tonic::{
    Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient},
    server::HealthReporter,
};

/// A call with this header opens spans while it is handled.
pub(crate) const WORK: &str = "x-test-work";

pub(crate) struct Server {
    channel: Channel,
    task: JoinHandle<()>,
    /// Keeps the watches open.
    _reporter: HealthReporter,
}

impl Server {
    /// A server whose service "up" is serving, and a client of it.
    pub(crate) async fn start(sampler: Sampler) -> Self {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("up", ServingStatus::Serving).await;
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("port").with_nodelay(Some(true));
        let address = incoming.local_addr().expect("address");
        let number = std::sync::atomic::AtomicU64::new(1);
        let next = move || u128::from(number.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).to_be_bytes();
        let serve = tonic::transport::Server::builder()
            .layer(RequestIdLayer::new(move || RequestId::from_random(next())))
            .layer(RpcLayer::new(methods, sampler))
            .add_service(InterceptedService::new(health, work))
            .serve_with_incoming(incoming);
        let task = tokio::spawn(async { serve.await.expect("serve") });
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("URL").connect_lazy();
        Self { channel, task, _reporter: reporter }
    }

    pub(crate) fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// Calls a path of the caller's own.
    pub(crate) async fn call(&self, path: &'static str) -> Result<Response<HealthCheckResponse>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.expect("connected");
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        grpc.unary(Request::new(check("up")), path.parse().expect("path"), codec).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

fn methods(path: &str) -> Option<Method> {
    let name = match path {
        "/grpc.health.v1.Health/Check" => "grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch" => "grpc.health.v1.Health/Watch",
        _ => return None,
    };
    Some(Method { name, kind: MethodKind::HotRead })
}

/// What a handler may do: open spans, ours and others', and log.
fn work(request: Request<()>) -> Result<Request<()>, Status> {
    if request.metadata().contains_key(WORK) {
        let _ours = tracing::info_span!(target: "portcullis::keys", "at work").entered();
        let _detail = tracing::debug_span!(target: "portcullis::keys", "a detail").entered();
        let _other = tracing::error_span!(target: "sqlx::query", "of a library").entered();
        let _alike = tracing::error_span!(target: "portcullis_alike", "of a crate with our first letters").entered();
        tracing::error!(target: "portcullis::keys", "canary");
    }
    Ok(request)
}
