//! A real Envoy by `envoy_grpc`, as `docs/tls.md` has it: no token, a client certificate.

use std::fs;

use serde_json::json;

use crate::{clients::source, gateway::Gateway};

/// The pieces of the page that go into `docs/envoy.yaml`.
fn pieces() -> [String; 2] {
    let page = fs::read_to_string(source("docs/tls.md")).expect("docs/tls.md");
    let blocks = page.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("```\n").next());
    blocks.map(ToOwned::to_owned).collect::<Vec<_>>().try_into().expect("two blocks")
}

/// The configuration with `google_grpc` and all below it replaced, and a cluster more.
fn by_certificate(configuration: String) -> String {
    let between = |text: &str, begin: &str, end: &str| {
        let (_, rest) = text.split_once(begin).expect("it stands there");
        rest.split_once(end).expect("and ends").0.trim().to_owned()
    };
    let port = between(&configuration, "target_uri: localhost:", "\n");
    let ca = between(&configuration, "root_certs: { filename:", "}");
    let [service, cluster] = pieces();
    let folder = ca.rsplit_once('/').expect("a path").0.to_owned();
    let cluster = cluster
        .replace("/etc/envoy/portcullis-ca.pem", &ca)
        .replace("/etc/envoy/", &format!("{folder}/"))
        .replace("portcullis.example.com", "localhost")
        // Under its name it would be looked for by IPv6 first, where this server does not listen.
        .replace("address: localhost, port_value: 50051", &format!("address: 127.0.0.1, port_value: {port}"));
    let (head, rest) = configuration.split_once("                google_grpc:\n").expect("google_grpc");
    let (_, tail) = rest.split_once("@CREDENTIALS@\n").expect("its end");
    format!("{head}{service}{tail}").replace("  clusters:\n", &format!("  clusters:\n{cluster}"))
}

#[test]
fn an_envoy_with_a_certificate_needs_no_token() {
    let Some(gateway) = Gateway::start_with(by_certificate) else { return };
    let (id, secret) = gateway.key(&json!({"permissions": ["tasks:read"]}));
    let sent = [("x-api-key", secret.as_str())];
    let reply = gateway.get("/tasks", &sent);
    assert_eq!(reply.upstream().header("x-portcullis-key-id"), [id.as_str()]);
    gateway.revoke(&id);
    let refused = gateway.get("/tasks", &sent);
    assert_eq!((refused.status, refused.refusal()["type"].as_str()), (401, Some("REVOKED")), "{refused:?}");
}
