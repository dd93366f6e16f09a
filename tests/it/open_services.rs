//! What answers without a credential: health and reflection.

use std::time::Duration;

use portcullis::pb;
use prost_reflect::prost::Message as _;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use crate::harness::{Server, Setup, WriteLock, refusal};

/// All that have methods: those of the descriptors, and the one whose proto is Envoy's.
fn services() -> Vec<String> {
    let pool = prost_reflect::DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let ours = pool.services().filter(|service| service.package_name() == "portcullis.v1");
    let names: Vec<String> = ours.map(|service| service.full_name().to_owned()).collect();
    assert!(names.len() >= 5, "{names:?}");
    names.into_iter().chain(["envoy.service.auth.v3.Authorization".to_owned()]).collect()
}

async fn health(server: &Server, service: &str) -> Result<ServingStatus, Status> {
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

/// Both have the same messages.
const VERSIONS: [&str; 2] = ["v1", "v1alpha"];

/// The answers to what is asked of reflection, if all of it is answered.
async fn reflect(server: &Server, version: &str, asked: Vec<MessageRequest>) -> Result<Vec<MessageResponse>, Status> {
    let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo").parse().expect("a path");
    let request = |asked| ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut client = tonic::client::Grpc::new(server.channel());
    client.ready().await.expect("a connection");
    let codec = tonic_prost::ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
    let requests = tonic::Request::new(tokio_stream::iter(asked.into_iter().map(request)));
    let mut answers = client.streaming(requests, path, codec).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer.message_response.expect("an answer"));
    }
    Ok(all)
}

fn list() -> MessageRequest {
    MessageRequest::ListServices(String::new())
}

#[tokio::test]
async fn reflection_lists_every_service_in_both_versions() {
    let server = Server::start().await;
    for version in VERSIONS {
        let answers = reflect(&server, version, vec![list()]).await.expect(version);
        let [MessageResponse::ListServicesResponse(told)] = &answers[..] else { panic!("{answers:?}") };
        let names: Vec<_> = told.service.iter().map(|service| service.name.clone()).collect();
        // Envoy knows its own protos; nobody else calls what is its.
        let ours = services().into_iter().filter(|name| name.starts_with("portcullis."));
        for service in ours.chain(["grpc.health.v1.Health".to_owned()]) {
            assert!(names.contains(&service), "{service}: {names:?}");
        }
    }
}

#[tokio::test]
async fn reflection_gives_the_descriptors_with_the_access_option() {
    let server = Server::start().await;
    let symbol = MessageRequest::FileContainingSymbol("portcullis.v1.KeyService".to_owned());
    let answers = reflect(&server, "v1", vec![symbol]).await.expect("reflection");
    let [MessageResponse::FileDescriptorResponse(files)] = &answers[..] else { panic!("{answers:?}") };
    let file = prost_types::FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).expect("a file");
    assert_eq!((file.package(), file.service[0].name()), ("portcullis.v1", "KeyService"));
}

/// A name that makes the message that holds it alone so large.
fn name(size: usize) -> String {
    // Behind its tag and a length of two bytes.
    "n".repeat(size - 3)
}

#[tokio::test]
async fn what_anybody_may_send_is_of_4_kib_at_the_most() {
    const LIMIT: usize = 4096;
    let server = Server::start().await;
    let too_large = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    let watched = async |service| HealthClient::new(server.channel()).watch(HealthCheckRequest { service }).await;
    assert_eq!(health(&server, &name(LIMIT)).await.expect_err("unknown").code(), Code::NotFound);
    assert_eq!(watched(name(LIMIT)).await.expect_err("unknown").code(), Code::NotFound);
    for size in [LIMIT + 1, 16 * LIMIT] {
        let refused = health(&server, &name(size)).await.expect_err("too large");
        assert_eq!(refused.get_error_details().error_info().expect("info").metadata["limit_bytes"], "4096");
        assert_eq!(refusal::<()>(Err(refused)), too_large);
        assert_eq!(refusal(watched(name(size)).await), too_large);
    }
    for version in VERSIONS {
        let of = |size| MessageRequest::FileContainingSymbol(name(size));
        let unknown = reflect(&server, version, vec![list(), of(LIMIT)]).await.expect_err("unknown");
        assert_eq!(unknown.code(), Code::NotFound, "{version}");
        for asked in [vec![of(LIMIT + 1)], vec![of(16 * LIMIT)], vec![list(), list(), of(LIMIT + 1), list()]] {
            let refused = reflect(&server, version, asked).await.expect_err("too large");
            let details = refused.get_error_details();
            assert_eq!(details.error_info().expect("info").metadata["limit_bytes"], "4096");
            assert!(details.request_info().is_some());
            assert_eq!(refusal::<()>(Err(refused)), too_large, "{version}");
        }
    }
}

#[tokio::test]
async fn without_reflection_there_is_none_and_the_rest_answers() {
    let server = Server::start_with(Setup { reflection: false, ..Setup::default() }).await;
    for version in VERSIONS {
        let answers = reflect(&server, version, vec![list()]).await;
        assert_eq!(refusal(answers), (Code::Unimplemented, "METHOD_NOT_FOUND".to_owned()));
    }
    assert_eq!(health(&server, "").await.expect("check"), ServingStatus::Serving);
    server.key().await;
}
