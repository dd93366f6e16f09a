//! `call` and `health` against a server.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use crate::{
    raw_server::{Proved, RawServer},
    support::{Caller, Ended, portcullis, run},
};

fn start() -> (RawServer, Caller) {
    let server = RawServer::start();
    let caller = Caller::new(Some(server.endpoint()));
    (server, caller)
}

#[test]
fn a_mutation_is_signed_anew_for_each_call_and_a_read_has_a_token() {
    let (server, caller) = start();
    let key = caller.credentials.public_key();
    let call = |arguments: &[&str]| {
        let done = run(&mut caller.command(arguments));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
        let [seen] = &server.seen()[..] else { panic!("one call") };
        (done.out, seen.clone())
    };
    let create = ["call", "KeyService/CreateKey", "-d", r#"{"name": "x"}"#];
    let (out, seen) = call(&create);
    assert_eq!(out, "{\n  \"secret\": \"sk_s\",\n  \"revision\": \"7\"\n}\n");
    assert_eq!((seen.path.as_str(), &seen.message[..]), ("/portcullis.v1.KeyService/CreateKey", &b"\x12\x01x"[..]));
    assert_eq!(seen.timeout(), Some("30000000u"));
    let Proved::SignedRequest { nonce } = seen.proved(key) else { panic!("{seen:?}") };
    let Proved::SignedRequest { nonce: next } = call(&create).1.proved(key) else { panic!("{seen:?}") };
    assert_ne!(nonce, next);

    let (out, seen) = call(&["call", "KeyService/VerifyKey", "-d", r#"{"secret": "x"}"#]);
    assert_eq!((out.as_str(), seen.proved(key)), ("{}\n", Proved::Token));
    let (_, seen) = call(&["call", "KeyService/ListKeys", "--signed", "--timeout", "2s"]);
    assert!(matches!(seen.proved(key), Proved::SignedRequest { .. }));
    assert_eq!(seen.timeout(), Some("2000000u"));
}

#[test]
fn an_error_is_told_with_its_details() {
    let (_server, caller) = start();
    let failed = run(&mut caller.command(&["call", "KeyService/UpdateKey"]));
    let err = "error: INVALID_ARGUMENT: 1 field is invalid\n  reason: FIELD_INVALID\n  field key.name: too long\n";
    assert_eq!(failed, Ended { code: Some(1), out: String::new(), err: err.to_owned() });
}

#[test]
fn a_call_ends_at_its_timeout() {
    let (_server, caller) = start();
    let failed = run(&mut caller.command(&["call", "KeyService/GetKey", "--timeout", "100ms"]));
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
    assert!(failed.err.starts_with("error: DEADLINE_EXCEEDED: no answer within 100ms"), "{}", failed.err);
}

#[test]
fn a_stream_is_printed_a_message_a_line_until_its_end() {
    let (server, caller) = start();
    let watch = |application: &str| {
        let request = format!(r#"{{"application_ids": ["{application}"]}}"#);
        run(&mut caller.command(&["call", "KeyService/WatchRevocations", "-d", &request]))
    };
    let first = "{\"bookmark\":{\"revision\":\"1\"},\"resume_token\":\"place-1\"}\n";
    let both = format!("{first}{{\"bookmark\":{{\"revision\":\"2\"}},\"resume_token\":\"place-2\"}}\n");
    assert_eq!(watch("end"), Ended { code: Some(0), out: both, err: String::new() });
    let seen = server.seen();
    assert_eq!((seen[0].proved(caller.credentials.public_key()), seen[0].timeout()), (Proved::Token, None));
    let err = "error: OUT_OF_RANGE: too old\n".to_owned();
    assert_eq!(watch("fail"), Ended { code: Some(1), out: first.to_owned(), err });
}

#[test]
fn a_stream_ends_after_max_messages() {
    let (_server, caller) = start();
    let watched = run(&mut caller.command(&["call", "KeyService/WatchRevocations", "--max-messages", "3"]));
    assert_eq!((watched.code, watched.out.lines().count(), watched.err.as_str()), (Some(0), 3, ""));
}

#[test]
fn ctrl_c_ends_a_stream_well() {
    let (_server, caller) = start();
    let mut child = watch_without_end(&caller);
    // A first line says that it listens to signals by now.
    let mut out = BufReader::new(child.stdout.take().expect("stdout"));
    out.read_line(&mut String::new()).expect("a line");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    assert!(out.lines().all(|line| line.is_ok()));
    assert_eq!(child.wait().expect("end").code(), Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_stream_well() {
    let (_server, caller) = start();
    let mut child = watch_without_end(&caller);
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut String::new()).expect("a line");
    let ended: Ended = child.wait_with_output().expect("end").into();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

fn watch_without_end(caller: &Caller) -> std::process::Child {
    let mut command = caller.command(&["call", "KeyService/WatchRevocations"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start")
}

#[test]
fn health_is_asked_without_credentials_and_answered_by_the_exit_code() {
    let server = RawServer::start();
    let ask = |more: &[&str]| {
        let mut command = portcullis(&["health"]);
        run(command.args(more).env("PORTCULLIS_ENDPOINT", server.endpoint()))
    };
    assert_eq!(ask(&[]), Ended { code: Some(0), out: "SERVING\n".to_owned(), err: String::new() });
    let resting = ask(&["--service", "resting"]);
    assert_eq!(resting, Ended { code: Some(1), out: "NOT_SERVING\n".to_owned(), err: String::new() });
    let unknown = ask(&["--service", "unknown"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    assert!(unknown.err.starts_with("error: NOT_FOUND"), "{}", unknown.err);

    // Where the file says; but for a flag, for which no file is read. Without both there is a place to look at.
    let caller = Caller::new(Some(server.endpoint()));
    assert_eq!(run(&mut caller.command(&["health"])).out, "SERVING\n");
    let flag = ["health", "--endpoint", &server.endpoint(), "--credentials", "/no/such/file"];
    assert_eq!(run(&mut portcullis(&flag)).out, "SERVING\n");
    let here = run(&mut portcullis(&["health", "--timeout", "2s"]));
    assert!(here.code == Some(0) || here.code == Some(1), "it was tried: {here:?}");
    assert!(!here.err.contains("cannot connect") || here.err.contains("to http://127.0.0.1:50051:"), "{here:?}");

    let mut command = portcullis(&["call", "Health/Check", "--endpoint", &server.endpoint()]);
    assert_eq!(run(&mut command).out, "{\n  \"status\": \"SERVING\"\n}\n");
}

#[test]
fn tls_trusts_the_given_certificate_for_the_given_name_only() {
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).expect("certificate");
    let (ours, other) = (made("keys.example.com"), made("keys.example.com"));
    let server = RawServer::start_tls(&ours.cert.pem(), &ours.signing_key.serialize_pem());
    let caller = Caller::new(Some(format!("https://{}", server.address)));
    let [ours, other] = [("ours.pem", ours.cert.pem()), ("other.pem", other.cert.pem())].map(|(name, pem)| {
        let path = caller.file.with_file_name(name);
        fs::write(&path, pem).expect("write");
        path.to_str().expect("UTF-8").to_owned()
    });
    let call = |ca: &str, name: &str| {
        run(&mut caller.command(&["call", "KeyService/CreateKey", "--ca-cert", ca, "--server-name", name]))
    };
    let good = call(&ours, "keys.example.com");
    assert_eq!(good.code, Some(0), "{}", good.err);
    for (ca, name, says) in [
        (&ours, "elsewhere.example.com", "not valid for name"),
        (&other, "keys.example.com", "invalid peer certificate"),
    ] {
        let refused = call(ca, name);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
        assert!(refused.err.contains("cannot connect to https://") && refused.err.contains(says), "{}", refused.err);
    }
    assert_eq!(server.seen().len(), 1);

    // A server that speaks TLS, spoken to in plaintext.
    let plain = run(&mut caller.command(&[
        "call",
        "KeyService/CreateKey",
        "--endpoint",
        &format!("http://{}", server.address),
    ]));
    assert_eq!((plain.code, plain.out.as_str()), (Some(1), ""));
}
