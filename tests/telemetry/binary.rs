//! The program itself, traced to the collector.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use portcullis::client::Credentials;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::collector::Collector;

/// `portcullis dev` in a folder of its own.
pub(crate) struct Dev {
    child: Child,
    pub(crate) endpoint: String,
    pub(crate) application: String,
    folder: tempfile::TempDir,
    log: Option<tempfile::NamedTempFile>,
}

impl Dev {
    pub(crate) fn start(collector: &str, flags: &[&str]) -> Self {
        Self::start_with(&[&["--log", "trace", "--otlp-endpoint", collector], flags].concat())
    }

    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().expect("file");
        let mut dev = Self::start_logging_to(log.reopen().expect("file").into(), flags);
        dev.log = Some(log);
        dev
    }

    fn start_logging_to(log: Stdio, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["dev", "--listen", "127.0.0.1:0", "--otlp-sample-ratio", "1"])
            .arg("--data-dir")
            .arg(folder.path())
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut find = |before: &str| {
            let line = lines.find(|line| line.contains(before)).expect(before);
            let word = line.split(before).nth(1).and_then(|rest| rest.split_whitespace().next()).expect(before);
            word.trim_end_matches('.').to_owned()
        };
        let (endpoint, application) = (find("listening on "), find("demo, "));
        // Its output must be read on, or it would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, endpoint, application, folder, log: None }
    }

    /// Where it answers `/metrics`.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        let (log, begun) = (self.log.as_ref().expect("a log that is kept"), Instant::now());
        loop {
            if let Some(address) = admin_address(log.path()) {
                return address;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it never says where");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn admin(&self) -> Credentials {
        Credentials::read(&self.folder.path().join("admin.json")).expect("credentials")
    }

    pub(crate) fn call(&self, method: &str, request: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["call", method, "-d", request, "--endpoint", &self.endpoint, "--credentials"])
            .arg(self.folder.path().join("admin.json"))
            .output()
            .expect("started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        assert!(self.child.wait().expect("ended").success());
    }
}

impl Drop for Dev {
    /// It may have failed in its test.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a log says of where `/metrics` is answered, once it does.
pub(crate) fn admin_address(log: &Path) -> Option<SocketAddr> {
    let log = fs::read_to_string(log).expect("a log");
    let line = log.lines().find(|line| line.contains("answering /metrics"))?;
    line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_collector_sees_the_calls_of_the_program_and_no_secret() {
    let collector = Collector::start();
    let dev = Dev::start(&collector.url(), &[]);
    let request = format!(r#"{{"application_id": "{}", "name": "traced"}}"#, dev.application);
    let made = dev.call("KeyService/CreateKey", &request);
    let secret =
        made.split('"').find(|word| word.starts_with("sk_live_") && word.len() > 20).expect("secret").to_owned();
    let verdict = dev.call("KeyService/VerifyKey", &format!(r#"{{"secret": "{secret}"}}"#));
    assert!(verdict.contains("VERDICT_VALID"), "{verdict}");
    dev.stop();

    let spans = collector.finish();
    let names: Vec<_> = spans.iter().map(|exported| exported.span.name.as_str()).collect();
    for name in ["CreateKey", "VerifyKey", "WatchRevocations"] {
        assert!(names.contains(&format!("portcullis.v1.KeyService/{name}").as_str()), "{name} in {names:?}");
    }
    let all = format!("{:?}", spans.iter().map(|exported| &exported.span).collect::<Vec<_>>());
    assert!(!all.contains(&secret[20..40]), "no secret leaves the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_log_no_more_holds_up_no_call_and_not_the_end() {
    // Of a pipe that is full, who writes waits for ever.
    let dev = Dev::start_logging_to(Stdio::piped(), &["--log", "trace"]);
    let channel = Endpoint::from_shared(dev.endpoint.clone()).expect("an address").connect_lazy();
    let mut health = HealthClient::new(channel);
    for call in 0..2_000 {
        let answer = timeout(Duration::from_secs(20), health.check(HealthCheckRequest::default())).await;
        answer.unwrap_or_else(|_| panic!("call {call} waits for the log")).expect("up");
    }
    let end = tokio::task::spawn_blocking(|| dev.stop());
    timeout(Duration::from_secs(60), end).await.expect("it waits for the log").expect("ended");
}
