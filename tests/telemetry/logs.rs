//! Log lines at the collector.

use super::{collector::Collector, server, server::Server, start_at, with};

#[tokio::test]
async fn lines_of_the_program_are_sent_and_none_of_what_sends_them() {
    let collector = Collector::start();
    let (guard, default) = start_at("trace", Some(&collector.url()), "0");
    let server = Server::start(guard.sampler()).await;
    for target in ["h2", "hyper", "tonic", "opentelemetry_sdk", "portcullis_alike"] {
        // What they say while they send is there besides.
        macro_rules! line { ($($name:literal),+) => { match target { $($name => tracing::error!(target: $name, "canary"),)+ _ => {} } } }
        line!("h2", "hyper", "tonic", "opentelemetry_sdk", "portcullis_alike");
    }
    server.health().check(with("x-request-id", &["call-7"])).await.expect("up");
    server.health().check(server::check("absent")).await.expect_err("not found");
    tracing::debug!(target: "portcullis::store", revision = 7_u64, "a line");
    drop(default);
    guard.shutdown();

    let lines = collector.lines();
    assert!(lines.iter().all(|line| line.target.starts_with("portcullis::")), "{lines:#?}");
    assert!(!format!("{lines:?}").contains("canary"));
    let call = lines.iter().find(|line| line.get("request_id").as_deref() == Some("call-7")).expect("the call's line");
    assert_eq!((call.target.as_str(), call.record.severity_text.as_str()), ("portcullis::rpc", "DEBUG"));
    assert!(call.text().starts_with("grpc.health.v1.Health/Check answered OK in "), "{}", call.text());
    let refused =
        lines.iter().find(|line| line.get("code").as_deref() == Some("NOT_FOUND")).expect("the refused call's");
    assert_eq!(refused.record.severity_text, "INFO");
    let plain = lines.iter().find(|line| line.text() == "a line").expect("the plain one");
    assert_eq!((plain.target.as_str(), plain.get("revision").as_deref()), ("portcullis::store", Some("7")));
}

#[tokio::test]
async fn what_is_not_logged_is_not_sent() {
    let collector = Collector::start();
    let (guard, default) = start_at("warn", Some(&collector.url()), "0");
    tracing::info!(target: "portcullis::store", "canary");
    tracing::warn!(target: "portcullis::store", "a warning");
    drop(default);
    guard.shutdown();
    let texts: Vec<_> = collector.lines().iter().map(super::collector::Line::text).collect();
    assert_eq!(texts, ["a warning"]);
}
