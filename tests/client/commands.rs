//! The command line without a server.

use std::{fs, io::Write as _, process::Stdio};

use portcullis::signing::{Signed, token::Token};

use crate::support::{Caller, portcullis, run};

const COMMANDS: [&str; 28] = [
    "sign",
    "token",
    "call",
    "health",
    "audit verify",
    "audit checkpoint",
    "audit list",
    "key create",
    "key list",
    "key get",
    "key update",
    "key rotate",
    "key revoke",
    "key verify",
    "key watch",
    "key usage",
    "app create",
    "app list",
    "app get",
    "app update",
    "account create",
    "account list",
    "account get",
    "account update",
    "account disable",
    "account add-key",
    "account remove-key",
    "completions",
];

const GET: &str = r#"{"application_id": "app_1", "key_id": "key_1"}"#;

#[test]
fn every_help_says_what_it_does_and_shows_an_example() {
    let top = run(&mut portcullis(&["--help"]));
    assert_eq!((top.code, top.err.as_str()), (Some(0), ""));
    for command in ["sign", "token", "call", "health", "key", "app", "account", "audit", "completions", "man"] {
        assert!(top.out.contains(&format!("\n  {command} ")), "{}", top.out);
    }
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = run(&mut portcullis(&arguments));
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
        assert!(help.out.split_whitespace().any(|word| ["Prints", "prints"].contains(&word)), "{}", help.out);
        assert!(help.out.contains(&format!("portcullis {command} ")), "{}", help.out);
        assert!(help.out.contains("\nExample"), "{}", help.out);
        // An example that is broken over two lines cannot be pasted.
        assert!(!help.out.lines().any(|line| line.trim_start().starts_with("}'")), "{}", help.out);
    }
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let mut command = portcullis(&["call", "--help"]);
    let help = run(command.env("PORTCULLIS_CREDENTIALS", "/canary").env("PORTCULLIS_ENDPOINT", "http://localhost:1"));
    assert!(!help.out.contains("canary") && !help.out.contains("localhost:1"), "{}", help.out);
}

#[test]
fn sign_prints_one_line_of_flags_whose_signature_is_over_the_request() {
    let caller = Caller::new(None);
    let signed = run(&mut caller.command(&["sign", "KeyService/GetKey", "-d", GET]));
    assert_eq!((signed.code, signed.err.as_str()), (Some(0), ""));
    let words: Vec<&str> = signed.out.strip_suffix('\n').expect("a line").split(' ').collect();
    let values: Vec<&str> = words
        .chunks(2)
        .zip(["x-portcullis-kid", "x-portcullis-timestamp", "x-portcullis-nonce", "x-portcullis-signature"])
        .map(|(flag, name)| {
            assert_eq!(flag[0], "-rpc-header");
            flag[1].strip_prefix(&format!("{name}:")).expect(name)
        })
        .collect();
    let [kid, timestamp, nonce, signature] = values[..] else { panic!("{values:?}") };
    let path = "/portcullis.v1.KeyService/GetKey";
    let message = b"\x0a\x05app_1\x12\x05key_1";
    let text = Signed { audience: "portcullis", path, timestamp, nonce, kid, message }.text();
    assert!(caller.credentials.public_key().verify(text.as_bytes(), &base64(signature)));
}

fn base64(text: &str) -> Vec<u8> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    BASE64_STANDARD.decode(text).expect("base64")
}

#[test]
fn sign_prints_json_for_other_clients() {
    let caller = Caller::new(None);
    let signed = run(&mut caller.command(&["sign", "KeyService/GetKey", "-d", GET, "--format", "json"]));
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&signed.out).expect("an object");
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(names, ["x-portcullis-kid", "x-portcullis-nonce", "x-portcullis-signature", "x-portcullis-timestamp"]);
    assert_eq!(object["x-portcullis-kid"], caller.credentials.kid().as_str());
}

#[test]
fn the_request_may_come_from_a_file_or_from_standard_input() {
    let caller = Caller::new(None);
    let file = caller.file.with_file_name("request.json");
    fs::write(&file, r#"{"nam": 1}"#).expect("write");
    let from_file = run(&mut caller.command(&["sign", "KeyService/GetKey", "-d", &format!("@{}", file.display())]));
    assert!(from_file.err.contains("no field `nam`"), "{from_file:?}");

    let mut child = caller
        .command(&["sign", "KeyService/GetKey", "-d", "@-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    child.stdin.take().expect("stdin").write_all(br#"{"nim": 1}"#).expect("write");
    let from_stdin = child.wait_with_output().expect("end");
    assert!(String::from_utf8_lossy(&from_stdin.stderr).contains("no field `nim`"), "{from_stdin:?}");
}

#[test]
fn token_prints_a_jwt_for_the_audience_and_the_lifetime() {
    let caller = Caller::new(None);
    let made = run(&mut caller.command(&["token", "--lifetime", "10m", "--audience", "https://keys.example.com/"]));
    assert_eq!((made.code, made.err.as_str()), (Some(0), ""));
    let token = Token::parse(made.out.trim_end()).expect("a token");
    assert_eq!(token.claims.aud.names(), ["https://keys.example.com/"]);
    assert_eq!(token.claims.exp - token.claims.iat, 600);
    assert!(caller.credentials.public_key().verify(token.signed.as_bytes(), &token.signature));

    let plain = run(&mut caller.command(&["token"]));
    let token = Token::parse(plain.out.trim_end()).expect("a token");
    assert_eq!((token.claims.aud.names(), token.claims.exp - token.claims.iat), (&["portcullis".to_owned()][..], 3600));
}

#[test]
fn what_cannot_be_tried_as_asked_ends_with_2_and_prints_nothing() {
    let caller = Caller::new(None);
    for (arguments, says) in [
        (&[][..], "Usage"),
        (&["sign"][..], "<METHOD>"),
        (&["sign", "GetKey"], "name it as KeyService/CreateKey"),
        (&["sign", "KeyService/NoKey"], "it has CreateKey"),
        (&["sign", "grpc.health.v1.Health/Check"], "needs no credential"),
        (&["sign", "KeyService/GetKey", "-d", "@/no/such/file"], "cannot read /no/such/file"),
        (&["sign", "KeyService/GetKey", "-d", "{"], "EOF"),
        (&["sign", "KeyService/GetKey", "--format", "yaml"], "possible values"),
        (&["sign", "KeyService/GetKey", "--credentials", "/no/such/file"], "cannot read the credentials file"),
        (&["token", "--lifetime", "2h"], "1 second to 1 hour"),
        (&["token", "--lifetime", "0s"], "more than 0"),
        (&["token", "--lifetime", "soon"], "as 30s, 5m or 1h"),
        (&["token", "--audience", ""], "a value is required"),
        (&["call", "KeyService/GetKey"], "no endpoint"),
        (&["call", "KeyService/GetKey", "--endpoint", "http://192.0.2.1:1"], "is not this machine"),
        (
            &["call", "KeyService/GetKey", "--endpoint", "https://127.0.0.1:1", "--ca-cert", "/no/such"],
            "CA certificate",
        ),
        (&["call", "KeyService/GetKey", "--max-messages", "1"], "for methods that stream"),
        (&["call", "KeyService/WatchRevocations", "--max-messages", "0"], "--max-messages"),
        (&["call", "KeyService/WatchRevocations", "--timeout", "1s"], "methods with one answer"),
        (&["health"], "--endpoint"),
        (&["audit"], "Usage"),
        (&["audit", "verify"], "no endpoint"),
        (&["audit", "verify", "--checkpoint", "/no/such/file"], "cannot read the checkpoint"),
        (&["audit", "verify", "--public-key", "/no/such/file"], "cannot read /no/such/file"),
        (&["audit", "checkpoint"], "--out"),
        (&["audit", "checkpoint", "--out", "/dev/null"], "is not overwritten"),
    ] {
        let refused = run(&mut caller.command(arguments));
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{arguments:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{arguments:?}: {}", refused.err);
    }
}

#[test]
fn without_credentials_it_is_said_how_to_give_them() {
    for arguments in
        [&["sign", "KeyService/GetKey"][..], &["token"], &["call", "KeyService/GetKey"], &["audit", "verify"]]
    {
        let refused = run(&mut portcullis(arguments));
        assert_eq!(refused.code, Some(2));
        assert_eq!(refused.err, "error: no credentials: give --credentials FILE, or set PORTCULLIS_CREDENTIALS\n");
    }
}

#[test]
fn an_endpoint_in_the_file_has_the_same_rules() {
    let caller = Caller::new(Some("http://keys.example.com:50051".to_owned()));
    let refused = run(&mut caller.command(&["call", "KeyService/GetKey"]));
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.starts_with("error: `endpoint` of the credentials file: `keys.example.com`"),
        "{}",
        refused.err
    );
}

#[test]
fn a_server_that_is_not_there_is_a_failed_call() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let endpoint = format!("http://{closed}");
    let caller = Caller::new(Some(endpoint.clone()));
    for mut command in [
        caller.command(&["call", "KeyService/GetKey"]),
        caller.command(&["audit", "verify"]),
        portcullis(&["health", "--endpoint", &endpoint]),
    ] {
        let failed = run(&mut command);
        assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
        assert!(failed.err.contains("Connection refused"), "{}", failed.err);
    }
}
