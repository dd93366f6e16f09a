//! What answers without a credential: health and reflection.

use std::time::Duration;

use portcullis::pb;
use prost_reflect::prost::Message as _;
use tokio_stream::{StreamExt as _, once};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use crate::harness::{Server, Setup, WriteLock, refusal};

/// All that have methods: those of the descriptors, and the one whose proto is Envoy's.
fn services() -> Vec<String> {
    let pool = prost_reflect::DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let ours = pool.services().filter(|service| service.package_name() == "portcullis.v1");
    let names: Vec<String> = ours.map(|service| service.full_name().to_owned()).collect();
    assert!(names.len() >= 5, "{names:?}");
    names.into_iter().chain(["envoy.service.auth.v3.Authorization".to_owned()]).collect()
}

async fn health(server: &Server, service: &str) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(server.channel()).check(request).await?.into_inner().status())
}

type HealthStream = tonic::Streaming<tonic_health::pb::HealthCheckResponse>;

async fn watch(server: &Server, service: &str) -> HealthStream {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(server.channel()).watch(request).await.expect("watch").into_inner()
}

/// The next status that the stream tells.
async fn next(stream: &mut HealthStream) -> ServingStatus {
    let item = tokio::time::timeout(Duration::from_secs(15), stream.message()).await.expect("silence");
    item.expect("a living stream").expect("not ended").status()
}

#[tokio::test]
async fn health_is_told_by_service_and_follows_the_lease() {
    let server = Server::start().await;
    let mut watches = Vec::new();
    let services = services();
    for service in &services {
        let mut stream = watch(&server, service).await;
        while next(&mut stream).await != ServingStatus::Serving {}
        assert_eq!(health(&server, service).await.expect("check"), ServingStatus::Serving);
        watches.push(stream);
    }
    assert_eq!(health(&server, "").await.expect("check"), ServingStatus::Serving);

    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(11));
    for (service, stream) in services.iter().zip(&mut watches) {
        assert_eq!(next(stream).await, ServingStatus::NotServing, "told by itself");
        assert_eq!(health(&server, service).await.expect("check"), ServingStatus::NotServing);
    }
    assert_eq!(health(&server, "").await.expect("check"), ServingStatus::Serving, "a restart would not help");

    lock.release().await;
    server.running().replica().sync_pass().await;
    for stream in &mut watches {
        assert_eq!(next(stream).await, ServingStatus::Serving);
    }
}

#[tokio::test]
async fn health_of_what_is_not_there_is_not_found() {
    let server = Server::start().await;
    for service in ["portcullis.v1.NoService", "portcullis", "KeyService", "\u{202e}"] {
        let status = health(&server, service).await.expect_err("unknown");
        assert_eq!(status.code(), Code::NotFound);
    }
}

async fn list_v1(server: &Server) -> Result<Vec<String>, tonic::Status> {
    use v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(server.channel());
    let mut answers = client.server_reflection_info(once(request)).await?.into_inner();
    match answers.next().await.expect("an answer")?.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list.service.into_iter().map(|s| s.name).collect()),
        other => panic!("{other:?}"),
    }
}

async fn list_v1alpha(server: &Server) -> Result<Vec<String>, tonic::Status> {
    use v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(server.channel());
    let mut answers = client.server_reflection_info(once(request)).await?.into_inner();
    match answers.next().await.expect("an answer")?.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list.service.into_iter().map(|s| s.name).collect()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_lists_every_service_in_both_versions() {
    let server = Server::start().await;
    for names in [list_v1(&server).await.expect("v1"), list_v1alpha(&server).await.expect("v1alpha")] {
        // Envoy knows its own protos; nobody else calls what is its.
        let ours = services().into_iter().filter(|name| name.starts_with("portcullis."));
        for service in ours.chain(["grpc.health.v1.Health".to_owned()]) {
            assert!(names.contains(&service), "{service}: {names:?}");
        }
    }
}

#[tokio::test]
async fn reflection_gives_the_descriptors_with_the_access_option() {
    use v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let server = Server::start().await;
    let symbol = "portcullis.v1.KeyService".to_owned();
    let message_request = Some(MessageRequest::FileContainingSymbol(symbol));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(server.channel());
    let mut answers = client.server_reflection_info(once(request)).await.expect("reflection").into_inner();
    let answer = answers.next().await.expect("an answer").expect("ok");
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let file = prost_types::FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).expect("a file");
    assert_eq!((file.package(), file.service[0].name()), ("portcullis.v1", "KeyService"));
}

#[tokio::test]
async fn without_reflection_there_is_none_and_the_rest_answers() {
    let server = Server::start_with(Setup { reflection: false, ..Setup::default() }).await;
    let absent = (Code::Unimplemented, "METHOD_NOT_FOUND".to_owned());
    assert_eq!(refusal(list_v1(&server).await), absent);
    assert_eq!(refusal(list_v1alpha(&server).await), absent);
    assert_eq!(health(&server, "").await.expect("check"), ServingStatus::Serving);
    server.key().await;
}
