//! Sweeps over the descriptors: what holds for every method, whoever adds one.

use std::collections::BTreeSet;

use portcullis::{
    auth::{Credential, METHODS, Method, is_open},
    domain::account::Role,
    pb,
};
use prost_reflect::{DescriptorPool, Value};
use tonic::Code;

use crate::harness::{Headers, Server, exchange, nonce, refusal};

pub(crate) fn pool() -> DescriptorPool {
    DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors")
}

/// `/portcullis.v1.KeyService/CreateKey`, of every service that is ours.
fn paths() -> BTreeSet<String> {
    let services = pool().services().filter(|service| service.package_name() == "portcullis.v1").collect::<Vec<_>>();
    let path =
        |method: prost_reflect::MethodDescriptor| format!("/{}/{}", method.parent_service().full_name(), method.name());
    services.iter().flat_map(|service| service.methods().map(path).collect::<Vec<_>>()).collect()
}

/// Envoy's, which is served beside ours and of which no descriptors are there.
pub(crate) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// An empty message, by token.
async fn by_token(server: &Server, path: &str) -> (Code, String) {
    let headers = Headers::bearer(&server.admin.token(server));
    refusal(exchange(server, path, Vec::new(), &headers).await)
}

#[test]
fn the_table_holds_the_methods_of_the_protos_and_no_other() {
    let table: BTreeSet<String> = METHODS.iter().map(|method| method.path.to_owned()).collect();
    assert_eq!(table.len(), METHODS.len());
    let ours: BTreeSet<String> = table.iter().filter(|path| *path != CHECK).cloned().collect();
    assert_eq!(ours, paths());
    let check = Method::find(CHECK).expect("Envoy's");
    let asked = Method::find("/portcullis.v1.KeyService/VerifyKey").expect("ours");
    assert_eq!((check.credential, check.roles), (Credential::SignedRequestOrToken, &[Role::Verifier][..]));
    assert_eq!((check.any_caller, check.nonce_in_memory), (false, asked.nonce_in_memory));
    assert_eq!(ours.len(), 33);
}

#[test]
fn the_table_says_what_the_protos_say() {
    let pool = pool();
    let access = pool.get_extension_by_name("portcullis.v1.access").expect("the option");
    for method in
        pool.services().filter(|s| s.package_name() == "portcullis.v1").flat_map(|s| s.methods().collect::<Vec<_>>())
    {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let known = Method::find(&path).expect("in the table");
        let options = method.options();
        let options = options.get_extension(&access);
        let option =
            |name: &str| options.as_message().expect("a message").get_field_by_name(name).expect(name).into_owned();
        let credential = match option("credential").as_enum_number() {
            Some(1) => Credential::SignedRequest,
            Some(2) => Credential::SignedRequestOrToken,
            other => panic!("{path}: credential {other:?}"),
        };
        assert_eq!(known.credential, credential, "{path}");
        let Value::List(roles) = option("roles") else { panic!("{path}: roles") };
        let roles: Vec<_> = roles.iter().map(|role| role_name(role.as_enum_number().expect("a role"))).collect();
        assert_eq!(known.roles.iter().map(|role| role.name()).collect::<Vec<_>>(), roles, "{path}");
        assert_eq!(known.any_caller, option("any_caller").as_bool().expect("bool"), "{path}");
        assert_eq!(known.any_caller, roles.is_empty(), "{path}: roles, or anybody");
        assert_eq!(known.nonce_in_memory, option("nonce_in_memory").as_bool().expect("bool"), "{path}");
        assert!(!(known.nonce_in_memory && known.is_mutation()), "{path}");
        assert!(!method.is_client_streaming(), "{path}: a signature covers one message");
    }
}

fn role_name(number: i32) -> String {
    let role = pb::Role::try_from(number).expect("a role");
    role.as_str_name().strip_prefix("ROLE_").expect("prefix").to_owned()
}

#[tokio::test]
async fn every_method_refuses_who_shows_no_credential() {
    let server = Server::start().await;
    let before = server.revision().await;
    for method in METHODS {
        let answer = exchange(&server, method.path, Vec::new(), &Headers(Vec::new())).await;
        let Err(status) = answer else { panic!("{} answered", method.path) };
        let takes_token = status.message().contains("authorization: Bearer");
        assert_eq!(takes_token, !method.is_mutation(), "{}: says what it takes", method.path);
        let missing = (Code::Unauthenticated, "SIGNATURE_MISSING".to_owned());
        assert_eq!(refusal::<()>(Err(status)), missing, "{}", method.path);
    }
    assert_eq!(server.revision().await, before);
}

#[tokio::test]
async fn a_token_opens_no_mutation() {
    let server = Server::start().await;
    let before = server.revision().await;
    for method in METHODS.iter().filter(|method| method.is_mutation()) {
        let missing = (Code::Unauthenticated, "SIGNATURE_MISSING".to_owned());
        assert_eq!(by_token(&server, method.path).await, missing, "{}", method.path);
    }
    assert_eq!(server.revision().await, before);
}

#[tokio::test]
async fn what_is_no_method_is_not_found() {
    let server = Server::start().await;
    let not_found = (Code::Unimplemented, "METHOD_NOT_FOUND".to_owned());
    let unknown = [
        "/portcullis.v1.KeyService/DeleteKey",
        "/portcullis.v1.KeyService/",
        "/portcullis.v1.KeyService/createKey",
        "/portcullis.v1.KeyService/CreateKey/",
        "/portcullis.v1.NoService/Get",
        "/portcullis.v2.KeyService/CreateKey",
        "/portcullis.v1.keyservice/CreateKey",
        "/grpc.health.v1.Health/Nothing",
        "/grpc.health.v1.Health/",
        "/grpc.reflection.v1.ServerReflection/Nothing",
        "/grpc.health.v2.Health/Check",
        "/envoy.service.auth.v3.Authorization/Nothing",
        "/envoy.service.auth.v2.Authorization/Check",
        "/metrics",
        "/",
    ];
    for path in unknown {
        for headers in [Headers(Vec::new()), Headers::bearer(&server.admin.token(&server))] {
            assert_eq!(refusal(exchange(&server, path, Vec::new(), &headers).await), not_found, "{path}");
        }
        let signed = Headers::sign(&server.admin, path, &[], server.now().seconds(), &nonce());
        assert_eq!(refusal(exchange(&server, path, Vec::new(), &signed).await), not_found, "{path}");
    }
}

/// May only shrink, but for what a service of Portcullis brings.
#[test]
fn only_health_and_reflection_are_open() {
    for open in [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert!(is_open(open));
    }
    for method in METHODS {
        assert!(!is_open(method.path), "{}", method.path);
    }
    for close in
        ["/grpc.health.v1.HealthX/Check", "grpc.health.v1.Health/Check", "//grpc.health.v1.Health/Check", "/grpc", ""]
    {
        assert!(!is_open(close), "{close}");
    }
}

#[test]
fn no_enum_admits_by_its_zero() {
    let (mut seen, pool) = (0, pool());
    for of_enum in pool.all_enums().filter(|of_enum| of_enum.package_name() == "portcullis.v1") {
        let zero = of_enum.get_value(0).expect("a zero");
        let prefix = zero.name().strip_suffix("UNSPECIFIED");
        let prefix = prefix.unwrap_or_else(|| panic!("{}: {}", of_enum.full_name(), zero.name()));
        for value in of_enum.values() {
            assert!(value.name().starts_with(prefix), "{}", value.full_name());
        }
        assert_eq!(prefix.replace('_', "").to_lowercase(), of_enum.name().to_lowercase(), "its enum's name");
        seen += 1;
    }
    assert!(seen >= 14, "all of them are looked at");
    assert_eq!(pb::VerifyKeyResponse::default().verdict(), pb::Verdict::Unspecified, "an empty answer is no VALID");
}
