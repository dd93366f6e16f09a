//! TLS by programs: clients of others that show a certificate, and what is sent to a server by habit. What docs/tls.md
//! says to type for a client certificate, its blocks ```sh run-by=tests/it/tls_programs.rs, is typed.

use std::{fs, path::Path, process::Command};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use crate::{
    clients::source,
    gateway::NAME,
    harness::{
        dev::{Dev, field},
        program::{Checkout, Process, free_port, run, tool},
        session::{Step, steps_run_by},
    },
    tls::Deployment,
};

const DATABASE: &str = "--database-url=sqlite://keys.db";

/// A server where the gateway's name is an account's, and the text of a key.
fn mapped() -> (Deployment, String) {
    let deployment = Deployment::start();
    let made = deployment.call("ApplicationService/CreateApplication", r#"{"application": {"name": "shop"}}"#);
    let app = field(&made, "application_id");
    let account = json!({"service_account": {
        "name": "gateway", "roles": ["ROLE_VERIFIER"], "application_ids": [app], "client_certificate_names": [NAME],
    }});
    deployment.call("ServiceAccountService/CreateServiceAccount", &account.to_string());
    let key = json!({"application_id": app, "name": "key"});
    let secret = field(&deployment.call("KeyService/CreateKey", &key.to_string()), "secret");
    (deployment, secret)
}

#[test]
fn grpcurl_with_a_mapped_certificate_verifies_without_a_token_and_with_another_does_not() {
    let Some(program) = tool("PORTCULLIS_TEST_GRPCURL") else { return };
    let (mut deployment, secret) = mapped();
    let address = format!("localhost:{}", deployment.port);
    let call = |by: Option<&str>| {
        let mut grpcurl = deployment.checkout.command(program.to_str().expect("UTF-8"));
        grpcurl.args(["-cacert", "ca.pem", "-d", &json!({"secret": secret}).to_string()]);
        if let Some(by) = by {
            grpcurl.args(["-cert", &format!("{by}.pem"), "-key", &format!("{by}.key")]);
        }
        run(grpcurl.args([&address, "portcullis.v1.KeyService/VerifyKey"]))
    };
    assert_eq!(field(&call(Some("gateway")).good(), "verdict"), "VERDICT_VALID");
    for (by, reason) in [(Some("stranger"), "TOKEN_INVALID"), (None, "SIGNATURE_MISSING")] {
        // UNAUTHENTICATED is 16, and grpcurl adds 64.
        let refused = call(by).refused(80);
        assert!(refused.contains(&format!("\"reason\": \"{reason}\"")), "{refused}");
    }
    let refused = call(Some("foreign"));
    assert!(refused.code != Some(0) && refused.out.is_empty(), "{refused:?}");
    assert!(deployment.stop().contains("a TLS handshake failed"), "it was the handshake");
}

#[test]
fn python_with_a_mapped_certificate_verifies_without_a_token_and_with_another_does_not() {
    let Some(python) = tool("PORTCULLIS_TEST_PYTHON") else { return };
    let (deployment, secret) = mapped();
    let mut client = deployment.checkout.command(python.to_str().expect("UTF-8"));
    client.arg("-B").arg(source("tests/clients/mutual_client.py"));
    client.args(["--proto", &source("proto"), "--ca", "ca.pem", "--secret", &secret]);
    client.args(["--target", &format!("localhost:{}", deployment.port), "gateway", "stranger", "foreign"]);
    assert_eq!(
        run(&mut client).good(),
        "gateway: VERDICT_VALID\nstranger: UNAUTHENTICATED TOKEN_INVALID\nforeign: UNAVAILABLE\n\
         nobody: UNAUTHENTICATED SIGNATURE_MISSING\n"
    );
}

#[test]
fn a_certificate_that_is_made_as_the_page_says_is_the_account_that_the_page_gives_its_name() {
    let Some(grpcurl) = tool("PORTCULLIS_TEST_GRPCURL") else { return };
    let page = fs::read_to_string(source("docs/tls.md")).expect("docs/tls.md");
    let steps = steps_run_by("tests/it/tls_programs.rs", &page);
    let [made, named, called] = &steps[..] else { panic!("{} blocks", steps.len()) };
    let mut deployment = Deployment::start();
    let app = field(
        &deployment.call("ApplicationService/CreateApplication", r#"{"application": {"name": "shop"}}"#),
        "application_id",
    );
    let key = json!({"application_id": app, "name": "key"});
    let secret = field(&deployment.call("KeyService/CreateKey", &key.to_string()), "secret");
    let path = format!(
        "{}:{}:{}",
        deployment.checkout.file("target/release").display(),
        grpcurl.parent().unwrap_or(Path::new("")).display(),
        std::env::var("PATH").expect("PATH")
    );
    let types = |deployment: &Deployment, step: &Step| {
        let here = step.command.replace("portcullis.example.com:50051", &format!("localhost:{}", deployment.port));
        let mut shell = deployment.checkout.command("sh");
        shell.args(["-euc", &here]).envs([("PATH", path.as_str()), ("PORTCULLIS_CREDENTIALS", "admin.json")]);
        let printed =
            run(shell.envs([("PORTCULLIS_CA_CERT", "ca.pem"), ("PORTCULLIS_APP", &app), ("secret", &secret)]));
        assert!(step.output.as_ref().is_none_or(|shown| *shown == printed.out), "{}: {printed:?}", step.command);
        printed.good();
    };
    types(&deployment, made);

    // The server of these tests takes the authorities of clients from this file.
    deployment.stop();
    let [own, clients] = ["ca.pem", "clients-ca.pem"]
        .map(|name| fs::read_to_string(deployment.checkout.file(name)).expect("certificates"));
    fs::write(deployment.checkout.file("ca.pem"), own + &clients).expect("write");
    deployment.serve();
    types(&deployment, named);
    types(&deployment, called);
    assert!(made.output.is_some() && called.output.is_some(), "what is shown is compared");
}

/// Starts it, and waits until `health` finds it well.
pub(crate) fn until_it_serves(checkout: &Checkout, serve: &mut Command, health: &[&str]) -> Process {
    let served = Process::start(serve);
    let serves = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        checkout.run(health).code == Some(0)
    });
    assert!(serves, "{:?}", served.stop());
    served
}

#[test]
fn sighup_does_not_end_a_server_without_tls() {
    let checkout = Checkout::new();
    checkout.run(&["migrate", DATABASE]).good();
    let listen = format!("127.0.0.1:{}", free_port());
    let (endpoint, serve) = (format!("http://{listen}"), ["serve", DATABASE, "--listen", &listen]);
    let health = ["health", "--endpoint", &endpoint];
    let served = until_it_serves(&checkout, &mut checkout.portcullis(&serve), &health);
    served.signal("HUP");
    checkout.run(&health).good();
    served.signal("HUP");
    checkout.run(&health).good();
    let ended = served.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("SIGHUP: without TLS there is nothing to read anew"), "{}", ended.err);
}

/// As `nohup portcullis dev` wants it, which a handler of its own would undo.
#[test]
fn sighup_does_not_end_dev() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    for _ in 0..2 {
        dev.process.signal("HUP");
        dev.call(&checkout, "ApplicationService/ListApplications", "{}");
    }
    let ended = dev.process.stop();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn an_end_that_is_near_is_logged_at_the_start() {
    let checkout = Checkout::new();
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("name");
    params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(20);
    let certificate = params.self_signed(&key).expect("certificate").pem();
    fs::write(checkout.file("server.pem"), certificate).expect("write");
    fs::write(checkout.file("server.key"), key.serialize_pem()).expect("write");
    checkout.run(&["migrate", DATABASE]).good();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let serve = ["serve", DATABASE, "--listen", &listen, "--tls-cert=server.pem", "--tls-key=server.key"];
    let health = ["health", "--endpoint", &format!("https://localhost:{port}"), "--ca-cert", "server.pem"];
    let served = until_it_serves(&checkout, &mut checkout.portcullis(&serve), &health);
    let log = served.stop().err;
    let line = log.lines().find(|line| line.contains("the TLS certificate in use ends soon; renew it"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("WARN") && line.contains("path=server.pem") && line.contains("30 days or less"), "{line}");
}
