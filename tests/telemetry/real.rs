//! OpenTelemetry's own Collector, and the program.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{binary::Dev, tool};

const CONFIGURATION: &str = "
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ADDRESS
exporters:
  debug:
    verbosity: detailed
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces: { receivers: [otlp], exporters: [debug] }
    metrics: { receivers: [otlp], exporters: [debug] }
    logs: { receivers: [otlp], exporters: [debug] }
";

struct Collector {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Collector {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let address = TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address");
        let configuration = folder.path().join("collector.yaml");
        fs::write(&configuration, CONFIGURATION.replace("ADDRESS", &address.to_string())).expect("written");
        let output = File::create(folder.path().join("output")).expect("file");
        let child = Command::new(program)
            .arg(format!("--config=file:{}", configuration.display()))
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("started");
        let collector = Self { child, address, folder };
        collector.until(|| TcpStream::connect(address).is_ok());
        collector
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).expect("output")
    }

    fn until(&self, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_real_collector_reads_traces_metrics_and_logs_of_the_program() {
    let Some(program) = tool("PORTCULLIS_TEST_COLLECTOR") else { return };
    let collector = Collector::start(&program);
    let url = format!("http://{}", collector.address);
    let dev = Dev::start_with(&["--log", "info", "--otlp-endpoint", &url, "--otlp-metric-interval", "1000"]);
    let request = format!(r#"{{"application_id": "{}", "name": "collected"}}"#, dev.application);
    let made = dev.call("KeyService/CreateKey", &request);
    let secret =
        made.split('"').find(|word| word.starts_with("sk_live_") && word.len() > 20).expect("secret").to_owned();
    dev.call("KeyService/VerifyKey", &format!(r#"{{"secret": "{secret}"}}"#));
    // Of the server, which is asked while it runs.
    collector.until(|| collector.output().contains("-> Name: portcullis.lease.rest"));
    dev.stop();

    let expected = [
        // A span, a histogram, a counter, a gauge, a line.
        "Name           : portcullis.v1.KeyService/VerifyKey",
        "-> rpc.status_code: Str(OK)",
        "-> Name: rpc.server.call.duration",
        "-> rpc.method: Str(portcullis.v1.KeyService/VerifyKey)",
        "-> DataType: Histogram",
        "-> AggregationTemporality: Cumulative",
        "-> Name: portcullis.verdicts",
        "-> portcullis.verdict: Str(valid)",
        "-> Name: portcullis.lease.rest",
        "-> DataType: Gauge",
        "Body: Str(portcullis.v1.KeyService/CreateKey answered OK in",
        "SeverityText: INFO",
        "-> service.name: Str(portcullis)",
        "SchemaURL: https://opentelemetry.io/schemas/1.45.0",
    ];
    collector.until(|| expected.iter().all(|text| collector.output().contains(text)));
    let output = collector.output();
    assert!(!output.contains(&secret[20..40]), "no secret leaves the process");
    assert!(!output.to_lowercase().contains("\terror\t"), "it minds nothing:\n{output}");
}
