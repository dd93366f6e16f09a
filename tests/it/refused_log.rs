//! What an operator reads of a refused call in the log of the real program.

use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use portcullis::{
    client::{CallFailed, Tls, connect},
    pb,
};
use serde_json::Value;
use tonic::{Request, Status, client::Grpc, transport::Channel};

use crate::{harness::Deployment, sweep::CHECK};

/// `Check` with a token that is none.
async fn check(channel: Channel) -> Status {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("connected");
    let mut request = Request::new(CheckRequest::default());
    request.metadata_mut().insert("authorization", "Bearer a.b.c".parse().expect("value"));
    let codec = tonic_prost::ProstCodec::<CheckRequest, CheckResponse>::default();
    grpc.unary(request, CHECK.parse().expect("path"), codec).await.expect_err("no token")
}

#[tokio::test]
async fn a_refused_call_s_line_says_what_its_caller_was_told_and_warns_of_an_envoy_s() {
    let deployment = Deployment::make().await;
    let mut process = deployment.serve(&["--log", "info", "--log-format", "json"]);
    let caller = process.caller().await;
    let channel = connect(&process.endpoint.parse().expect("an endpoint"), &Tls::default()).await.expect("connected");
    let envoys = check(channel).await;
    let absent = pb::GetKeyRequest { application_id: "x".to_owned(), key_id: "y".to_owned() };
    let failed = caller.call::<_, pb::GetKeyResponse>("KeyService/GetKey", &absent).await.expect_err("no such ids");
    let CallFailed::Status(failed) = failed else { panic!("{failed}") };
    assert!(process.terminate().await.success());

    let log = std::fs::read_to_string(deployment.log()).expect("a log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (level, method, reason, told) in [
        ("WARN", "envoy.service.auth.v3.Authorization/Check", "TOKEN_INVALID", envoys.message()),
        ("INFO", "portcullis.v1.KeyService/GetKey", "FIELD_INVALID", failed.message()),
    ] {
        let of_it: Vec<_> = lines.iter().filter(|line| line["method"] == method).collect();
        let [line] = of_it[..] else { panic!("one line of {method}: {log}") };
        assert_eq!((&line["level"], &line["reason"]), (&level.into(), &reason.into()), "{line}");
        assert!(!told.is_empty() && line["status_message"] == told, "{told}: {line}");
    }
}
