use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use portcullis::notify::mail;
use serde_json::Value;
use tokio::sync::mpsc;

use super::program::tool;

/// A real mail server: Python's aiosmtpd, by `tests/clients/smtp_server.py`.
#[derive(Debug)]
pub(crate) struct MailServer {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub(crate) port: u16,
}

impl MailServer {
    /// None where there is no Python with it.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        let python = tool("PORTCULLIS_TEST_PYTHON")?;
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/smtp_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start");
        let out = BufReader::new(child.stdout.take().expect("stdout"));
        let (send, mut lines) = mpsc::channel(1000);
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| send.blocking_send(line).is_ok()));
        let port = lines.recv().await.expect("its port").parse().expect("a port");
        Some(Self { child, lines, port })
    }

    /// The next thing that happened. Fails the test after 20 seconds of silence.
    pub(crate) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await;
        serde_json::from_str(&line.expect("nothing happens").expect("a living server")).expect("JSON")
    }

    pub(crate) async fn nothing(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(500), self.lines.recv()).await;
        assert!(next.is_err(), "{next:?}");
    }

    pub(crate) fn settings(&self) -> mail::Settings {
        mail::Settings {
            server: format!("smtp://127.0.0.1:{}", self.port).parse().expect("url"),
            from: "portcullis@example.com".parse().expect("address"),
            password: None,
            roots: None,
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
