//! Envoy's `Check` as a call: what is a denial, what is an error, and who may ask.

use std::time::Duration;

use envoy_types::pb::envoy::{
    config::core::v3::HeaderValueOption,
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse, OkHttpResponse, attribute_context, check_response::HttpResponse,
    },
};
use portcullis::pb;
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    harness::{Persona, Server, WriteLock, refusal},
    sweep::CHECK,
};

/// What an Envoy asks of a request with these headers, on a route with these extensions.
pub(crate) fn asks(extensions: &[(&str, &str)], headers: &[(&str, &str)]) -> CheckRequest {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let http = attribute_context::HttpRequest { headers: pairs(headers), ..Default::default() };
    let request = attribute_context::Request { http: Some(http), ..Default::default() };
    let context_extensions = pairs(extensions);
    CheckRequest {
        attributes: Some(AttributeContext { request: Some(request), context_extensions, ..Default::default() }),
    }
}

async fn check(server: &Server, by: &Persona, request: &CheckRequest) -> Result<CheckResponse, Status> {
    server.by_token(by, CHECK, request).await
}

/// The HTTP status and the type of a denial, which must be none in gRPC's terms.
fn denied(response: CheckResponse) -> (i32, String) {
    assert_ne!(response.status.expect("a status").code, 0, "it must not read as OK");
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("a denial") };
    let body: serde_json::Value = serde_json::from_str(&denied.body).expect("JSON");
    (denied.status.expect("a status").code, body["type"].as_str().expect("a type").to_owned())
}

fn allowed(response: CheckResponse) -> OkHttpResponse {
    assert_eq!(response.status.expect("a status").code, 0);
    match response.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("allowed, not {other:?}"),
    }
}

fn value(headers: &[HeaderValueOption], name: &str) -> String {
    let mut found = headers.iter().filter_map(|option| option.header.as_ref()).filter(|header| header.key == name);
    let (Some(header), None) = (found.next(), found.next()) else { panic!("one {name} in {headers:?}") };
    header.value.clone()
}

#[tokio::test]
async fn a_route_that_is_set_up_wrongly_is_denied_to_everybody_whatever_the_failure_mode() {
    let server = Server::start().await;
    let key = server.key().await;
    for headers in [&[][..], &[("x-api-key", key.secret.as_str())]] {
        for (name, value) in [("required_permission", "tasks:read"), ("environment", "prod"), ("application_id", "")] {
            let answer = check(&server, &server.admin, &asks(&[(name, value)], headers)).await.expect("a denial");
            assert_eq!(denied(answer), (500, "ROUTE_INVALID".to_owned()), "{name}={value}");
        }
    }
    let good = asks(&[("required_permissions", "tasks:read")], &[("x-api-key", &key.secret)]);
    let ok = allowed(check(&server, &server.admin, &good).await.expect("decided"));
    assert_eq!(value(&ok.headers, "x-portcullis-key-id"), key.key.expect("key").key_id);
}

#[tokio::test]
async fn an_upstream_hears_which_key_a_rotated_one_was_superseded_by() {
    const SUPERSEDED_BY: &str = "x-portcullis-superseded-by";
    let server = Server::start().await;
    let key = server.key().await;
    let pair = server.rotate(&key.key.expect("key"), 60).await;
    let ask = async |secret: &str| {
        let request = asks(&[], &[("x-api-key", secret), (SUPERSEDED_BY, "forged")]);
        check(&server, &server.admin, &request).await.expect("decided")
    };
    let old = allowed(ask(&key.secret).await);
    assert_eq!(value(&old.headers, SUPERSEDED_BY), pair.new.key_id);
    let new = allowed(ask(&pair.secret).await);
    assert!(new.headers_to_remove.contains(&SUPERSEDED_BY.to_owned()), "what a client claims goes no further");
    server.advance(Duration::from_secs(60)).await;
    assert_eq!(denied(ask(&key.secret).await), (401, "REVOKED".to_owned()));
}

#[tokio::test]
async fn an_envoy_stays_in_the_applications_and_the_role_of_its_account() {
    let server = Server::start().await;
    let key = server.key().await;
    let request = asks(&[], &[("x-api-key", &key.secret)]);
    let account = |role: pb::Role, application_ids: Vec<String>| pb::ServiceAccount {
        name: "gateway".to_owned(),
        roles: vec![role.into()],
        application_ids,
        ..Default::default()
    };
    let inside = server.admin.hire(&server, 1, account(pb::Role::Verifier, vec![server.app.clone()])).await;
    let outside = server.admin.hire(&server, 2, account(pb::Role::Verifier, Vec::new())).await;
    let editor = server.admin.hire(&server, 3, account(pb::Role::Editor, vec![server.app.clone()])).await;
    allowed(check(&server, &inside, &request).await.expect("decided"));
    let answer = check(&server, &outside, &request).await.expect("decided");
    assert_eq!(denied(answer), (401, "NOT_FOUND".to_owned()), "a key that it may not see is none");
    let scoped = asks(&[("application_id", &server.app)], &[("x-api-key", &key.secret)]);
    allowed(check(&server, &inside, &scoped).await.expect("decided"));
    let out_of_scope = (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned());
    assert_eq!(refusal(check(&server, &outside, &scoped).await), out_of_scope);
    let role_missing = (Code::PermissionDenied, "ROLE_MISSING".to_owned());
    assert_eq!(refusal(check(&server, &editor, &request).await), role_missing);
}

#[tokio::test]
async fn a_route_asks_for_permissions_the_application_and_the_environment() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    let other = pb::Application { name: "other".to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(other), ..Default::default() };
    let made: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = made.application.expect("application").application_id;
    for (name, value, expected) in [
        ("required_permissions", "tasks:read", None),
        ("required_permissions", "tasks:read,tasks:write", Some((403, "PERMISSION_MISSING"))),
        ("required_permissions", "tasks:*", Some((403, "PERMISSION_MISSING"))),
        ("application_id", server.app.as_str(), None),
        ("application_id", other.as_str(), Some((401, "NOT_FOUND"))),
        ("environment", "live", None),
        ("environment", "test", Some((403, "ENVIRONMENT_NOT_ALLOWED"))),
    ] {
        let answer = check(&server, &server.admin, &asks(&[(name, value)], &[("x-api-key", &secret)])).await;
        let answer = answer.expect("decided");
        match expected {
            None => drop(allowed(answer)),
            Some((status, kind)) => assert_eq!(denied(answer), (status, kind.to_owned()), "{name}={value}"),
        }
    }
}

#[tokio::test]
async fn what_the_server_does_not_know_is_an_error_and_no_decision() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    let request = asks(&[], &[("x-api-key", &secret)]);
    allowed(check(&server, &server.admin, &request).await.expect("decided"));

    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(11));
    let unproven = (Code::Unavailable, "FRESHNESS_UNPROVEN".to_owned());
    assert_eq!(refusal(check(&server, &server.admin, &request).await), unproven);
    lock.release().await;
    server.running().replica().sync_pass().await;
    allowed(check(&server, &server.admin, &request).await.expect("decided again"));

    for request in [CheckRequest::default(), CheckRequest { attributes: Some(AttributeContext::default()) }] {
        let invalid = (Code::InvalidArgument, "FIELD_INVALID".to_owned());
        assert_eq!(refusal(check(&server, &server.admin, &request).await), invalid);
    }
}

#[tokio::test]
async fn a_question_of_64_kib_is_decided_and_a_larger_one_is_an_error() {
    const LIMIT: usize = 64 * 1024;
    let server = Server::start().await;
    let secret = server.key().await.secret;
    let sized = |filler: usize| asks(&[], &[("x-api-key", &secret), ("cookie", &"x".repeat(filler))]);
    let filler = LIMIT - (sized(LIMIT).encoded_len() - LIMIT);
    let largest = sized(filler);
    assert_eq!(largest.encoded_len(), LIMIT);
    allowed(check(&server, &server.admin, &largest).await.expect("decided"));
    let too_large = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    for more in [1, 1000, 1 << 20] {
        assert_eq!(refusal(check(&server, &server.admin, &sized(filler + more)).await), too_large, "{more}");
    }
}
