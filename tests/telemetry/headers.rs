//! What the collector asks for.

use portcullis::telemetry::{Settings, subscriber};

use super::{
    collector::Collector,
    server::{self, Server},
    settings,
};

#[tokio::test]
async fn each_export_of_each_signal_carries_the_headers_that_are_set() {
    let collector = Collector::start();
    let settings =
        Settings { otlp_headers: Some("X-Tenant=a%20b".into()), ..settings("info", Some(&collector.url()), "1") };
    let (subscriber, guard) = subscriber(&settings, std::io::sink, false).expect("telemetry");
    let default = tracing::subscriber::set_default(subscriber);
    let server = Server::start(guard.sampler()).await;
    server.health().check(server::check("up")).await.expect("up");
    tracing::info!(target: "portcullis", "a line");
    drop(default);
    guard.shutdown();
    let told = collector.tenants();
    assert!(told.iter().all(|(_, tenant)| tenant.as_deref() == Some("a b")), "{told:?}");
    for signal in ["traces", "metrics", "logs"] {
        assert!(told.iter().any(|(of, _)| *of == signal), "{signal}: {told:?}");
    }
}

#[test]
fn headers_that_do_not_read_are_refused_at_the_start_and_not_repeated() {
    let settings =
        Settings { otlp_headers: Some("hunter2".into()), ..settings("info", Some("http://127.0.0.1:1"), "1") };
    let refused = subscriber(&settings, std::io::sink, false).map(drop).expect_err("refused").to_string();
    assert!(
        refused.starts_with("OTEL_EXPORTER_OTLP_HEADERS: header 1: no ") && !refused.contains("hunter2"),
        "{refused}"
    );
}
