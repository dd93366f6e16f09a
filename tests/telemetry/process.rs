//! Telemetry as `main` starts it, for a whole process: the tests start themselves anew.

use std::{env, net::TcpListener, path::Path, process::Command};

use portcullis::telemetry::{LogFormat, Settings, init};
use tonic::transport::{Identity, ServerTlsConfig};

use super::{
    collector::Collector,
    server::{self, Server},
    settings,
};

/// Set for a process that a test started of itself: the collector to use.
const CHILD: &str = "TELEMETRY_TEST_COLLECTOR";

#[tokio::test]
async fn a_collector_that_is_not_there_is_mentioned_once() {
    if let Ok(url) = env::var(CHILD) {
        return make_calls(&url, 2_000).await; // four batches
    }
    let gone = TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address");
    let log = in_child("process::a_collector_that_is_not_there_is_mentioned_once", &format!("http://{gone}"), None);
    assert_eq!(log.matches("traces cannot be exported").count(), 1, "{log}");
}

#[tokio::test]
async fn over_tls_the_collector_must_be_one_that_the_system_trusts() {
    if let Ok(url) = env::var(CHILD) {
        return make_calls(&url, 1).await;
    }
    let name = "process::over_tls_the_collector_must_be_one_that_the_system_trusts";
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate");
    let roots = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(roots.path(), cert.pem()).expect("written");
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert.pem(), signing_key.serialize_pem()));
    let collector = Collector::start_tls(tls);

    let log = in_child(name, &collector.url(), None);
    assert_eq!(log.matches("traces cannot be exported").count(), 1, "{log}");
    let log = in_child(name, &collector.url(), Some(roots.path()));
    assert_eq!(log.matches("traces cannot be exported").count(), 0, "{log}");
    assert_eq!(collector.finish().len(), 1);
}

/// What a process logs that panics, and goes on.
fn panicked(test: &str, collector: &str, level: &str, format: LogFormat) -> String {
    let Ok(url) = env::var(CHILD) else { return in_child(test, collector, None) };
    let guard = init(&Settings { log_format: format, ..settings(level, Some(&url), "1") }).expect("telemetry");
    let ended = std::thread::Builder::new().name("worker".to_owned()).spawn(|| panic!("two\nlines"));
    ended.expect("a thread").join().expect_err("it panicked");
    guard.shutdown();
    std::process::exit(0);
}

#[test]
fn a_panic_is_a_line_of_the_log_and_all_of_it() {
    let collector = Collector::start();
    let test = "process::a_panic_is_a_line_of_the_log_and_all_of_it";
    let log = panicked(test, &collector.url(), "error", LogFormat::Json);
    let line: serde_json::Value = serde_json::from_str(log.trim_end()).unwrap_or_else(|error| panic!("{error}: {log}"));
    let text =
        |name: &str| line[name].as_str().or_else(|| line["fields"][name].as_str()).unwrap_or_default().to_owned();
    assert_eq!([text("level"), text("target"), text("thread")], ["ERROR", "portcullis::panic", "worker"], "{log}");
    assert!(text("message").starts_with("panicked") && text("at").contains("process.rs:"), "{log}");
    assert_eq!(text("said"), "two\nlines", "{log}");
    let sent = collector.lines();
    let of_it = sent.iter().find(|line| line.target == "portcullis::panic").expect("sent");
    assert_eq!(of_it.get("said").as_deref(), Some("two\nlines"));
}

#[test]
fn a_panic_is_a_line_of_the_log_for_people_too() {
    let collector = Collector::start();
    let test = "process::a_panic_is_a_line_of_the_log_for_people_too";
    let log = panicked(test, &collector.url(), "error", LogFormat::Text);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("ERROR") && log.contains("said=\"two\\nlines\""), "{log}");
}

#[test]
fn a_panic_is_told_where_nothing_is_logged() {
    let collector = Collector::start();
    let log = panicked("process::a_panic_is_told_where_nothing_is_logged", &collector.url(), "off", LogFormat::Json);
    assert!(log.contains("thread 'worker'") && log.contains("two\nlines"), "{log}");
}

/// Runs the named test in a process of its own, which trusts these roots; gives back its log.
fn in_child(test: &str, collector: &str, roots: Option<&Path>) -> String {
    let mut child = Command::new(env::current_exe().expect("this program"));
    child.args(["--exact", test, "--nocapture"]).env(CHILD, collector);
    if let Some(roots) = roots {
        child.env("SSL_CERT_FILE", roots);
    }
    let output = child.output().expect("started");
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{log}");
    log
}

/// The whole of a process: telemetry as `main` starts it, and sampled calls.
async fn make_calls(collector: &str, calls: usize) {
    let settings = settings("info", Some(collector), "1");
    let guard = init(&settings).expect("telemetry");
    let again = init(&settings).expect_err("twice");
    assert_eq!(again.to_string(), "telemetry was started before in this process");
    let server = Server::start(guard.sampler()).await;
    for _ in 0..calls {
        server.health().check(server::check("up")).await.expect("up");
    }
    guard.shutdown();
}
