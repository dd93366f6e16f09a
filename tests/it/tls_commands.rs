//! The commands on their way to a server: what they show it, and what they say where there is no way.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
};

use crate::{
    harness::{
        dev::field,
        program::{Checkout, Ended, free_port, run},
    },
    tls::Deployment,
    tls_programs::until_it_serves,
};

const DATABASE: &str = "--database-url=sqlite://keys.db";
const SHOWN: [&str; 4] = ["--client-cert", "gateway.pem", "--client-key", "gateway.key"];
/// One that is right, of each kind of command that connects.
const COMMANDS: [&[&str]; 8] = [
    &["health"],
    &["call", "ApplicationService/ListApplications"],
    &["app", "list"],
    &["account", "list"],
    &["audit", "list"],
    &["audit", "verify"],
    &["key", "watch", "--bookmarks", "--max-messages=1"],
    &["import", "keys.jsonl"],
];

/// A server that lets nobody in without a certificate, and an application there.
fn demanding() -> (Deployment, String) {
    let mut deployment = Deployment::start();
    let made = deployment.call("ApplicationService/CreateApplication", r#"{"application": {"name": "shop"}}"#);
    deployment.stop();
    deployment.serve_with(&["--tls-require-client-cert"]);
    for name in ["gateway.key", "foreign.key"] {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(deployment.checkout.file(name), private).expect("its mode");
    }
    let row = format!("{{\"secret_sha256\": \"{}\", \"name\": \"k\"}}\n", "ab".repeat(32));
    std::fs::write(deployment.checkout.file("keys.jsonl"), row).expect("write");
    (deployment, field(&made, "application_id"))
}

fn ask(deployment: &Deployment, command: &[&str], more: &[&str]) -> Ended {
    let mut asked = deployment.checkout.portcullis(command);
    asked.args(more).args(["--ca-cert", "ca.pem"]);
    if command[0] == "health" {
        asked.args(["--endpoint", &format!("https://localhost:{}", deployment.port)]);
    } else {
        asked.args(["--credentials", "admin.json"]);
    }
    run(&mut asked)
}

#[test]
fn every_command_reaches_a_server_that_demands_client_certificates_with_one_and_is_told_without() {
    let (deployment, app) = demanding();
    for command in COMMANDS {
        let mut command = command.to_vec();
        if command[0] == "import" {
            command.extend(["--app", &app]);
        }
        let refused = ask(&deployment, &command, &[]);
        assert_eq!(refused.code, Some(1), "{command:?}: {refused:?}");
        let said = &refused.err;
        assert!(said.contains("received fatal alert: CertificateRequired"), "{command:?}: {said}");
        assert!(said.contains("hint: the server asks for a client certificate: give --client-cert FILE"), "{said}");
        let good = ask(&deployment, &command, &SHOWN);
        assert_eq!((good.code, good.err.contains("error")), (Some(0), false), "{command:?}: {good:?}");
    }
    let mut by_environment = deployment.checkout.portcullis(&["app", "list", "--credentials=admin.json"]);
    by_environment.envs([("PORTCULLIS_CLIENT_CERT", "gateway.pem"), ("PORTCULLIS_CLIENT_KEY", "gateway.key")]);
    run(by_environment.env("PORTCULLIS_CA_CERT", "ca.pem")).good();
}

#[test]
fn what_is_wrong_with_a_client_certificate_is_said() {
    let (deployment, _) = demanding();
    let app_list = |more: &[&str]| ask(&deployment, &["app", "list"], more);
    let foreign = app_list(&["--client-cert", "foreign.pem", "--client-key", "foreign.key"]).refused(1);
    assert!(foreign.contains("the server does not take the certificate of --client-cert"), "{foreign}");
    for (one, other) in [("--client-cert", "--client-key"), ("--client-key", "--client-cert")] {
        let half = app_list(&[one, "gateway.pem"]).refused(2);
        assert!(
            half.starts_with(&format!("error: {one} needs {other}: give {other} FILE, or set PORTCULLIS_")),
            "{half}"
        );
    }
    for (certificate, key, says) in [
        ("gone.pem", "gateway.key", "cannot read the client certificate gone.pem: "),
        ("gateway.pem", "gone.key", "cannot read the key of the client certificate gone.key: "),
        ("gateway.pem", "foreign.key", "the key in foreign.key is not the key of the first certificate in gateway.pem"),
    ] {
        let refused = app_list(&["--client-cert", certificate, "--client-key", key]).refused(2);
        assert!(refused.contains(says), "{refused}");
    }
    let plaintext = [&["health", "--endpoint=http://localhost:1"][..], &SHOWN].concat();
    let refused = deployment.checkout.run(&plaintext).refused(2);
    assert!(
        refused.contains("a client certificate are for https://, and the endpoint is http://localhost:1"),
        "{refused}"
    );
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(deployment.checkout.file("gateway.key"), open).expect("its mode");
    let warned = app_list(&SHOWN).err;
    assert!(warned.contains("others can read this key of the client certificate: chmod 600 it"), "{warned}");
    assert!(!warned.contains('\u{1b}'), "no colours where no terminal is: {warned}");
}

/// What the hint says where the connection was of no use.
const SCHEMES: &str = "hint: is --endpoint https:// where the server has TLS, and http:// where it has none?";

#[test]
fn http_and_https_mixed_up_are_told_apart_from_a_server_that_is_away() {
    let deployment = Deployment::start();
    let commands = [&["health"][..], &["app", "list", "--credentials=admin.json"]];
    for command in commands {
        let to_tls = format!("--endpoint=http://localhost:{}", deployment.port);
        let refused = deployment.checkout.run(&[command, &[&to_tls]].concat()).refused(1);
        assert!(refused.contains("hint: the server has TLS: its endpoint is https://"), "{refused}");
    }

    let plain = Checkout::new();
    plain.run(&["migrate", DATABASE]).good();
    let listen = format!("127.0.0.1:{}", free_port());
    let health = ["health", "--endpoint", &format!("http://{listen}")];
    let served = until_it_serves(&plain, &mut plain.portcullis(&["serve", DATABASE, "--listen", &listen]), &health);
    for command in commands {
        let to_plain = format!("--endpoint=https://{listen}");
        let refused = deployment.checkout.run(&[command, &[&to_plain, "--ca-cert=ca.pem"]].concat()).refused(1);
        assert!(
            refused.contains("hint: what listens there has no TLS: on this machine its endpoint is http://"),
            "{refused}"
        );
    }
    served.stop();
    let refused = plain.run(&health).refused(1);
    assert!(refused.contains("hint: is the server running, "), "{refused}");
}

#[test]
fn something_that_is_no_grpc_is_said_with_what_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let endpoint = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let refused = Checkout::new().run(&["health", "--endpoint", &endpoint]).refused(1);
    assert!(refused.contains("the connection ended: ") && refused.contains(SCHEMES), "{refused}");
    assert!(!refused.contains("transport error"), "{refused}");
}
