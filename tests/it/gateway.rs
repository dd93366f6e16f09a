//! A real Envoy with the configuration of the docs, between a client and an upstream.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use portcullis::{
    client::{Account, Credentials},
    signing::PrivateKey,
};

use serde_json::json;

use crate::{
    clients::source,
    harness::{
        dev::field,
        program::{Process, free_port, run, tool},
    },
    tls::Deployment,
};

/// How long Envoy, or a server behind it, may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// In the certificate of the gateway that needs no token.
pub(crate) const NAME: &str = "spiffe://example.org/gateway";

/// Envoy in front of a server with TLS, an application, and an upstream.
pub(crate) struct Gateway {
    pub(crate) server: Deployment,
    pub(crate) app: String,
    program: PathBuf,
    port: u16,
    envoy: Option<Process>,
}

impl Gateway {
    /// `None` where there is no Envoy; see [`tool`].
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|configuration| configuration)
    }

    /// With the configuration of the docs, changed.
    pub(crate) fn start_with(change: impl FnOnce(String) -> String) -> Option<Self> {
        let program = tool("PORTCULLIS_TEST_PYTHON")?.with_file_name("envoy");
        let server = Deployment::start();
        let made = server.call("ApplicationService/CreateApplication", r#"{"application": {"name": "shop"}}"#);
        let app = field(&made, "application_id");
        write_credentials(&server, &app);
        let port = free_port();
        let configuration = configuration(&server, port, upstream());
        fs::create_dir(server.checkout.file("docs")).expect("folder");
        fs::write(server.checkout.file("docs/envoy.yaml"), change(configuration)).expect("write");
        run(server.checkout.command("sh").args(["-euc", &documented_command()])).good();
        let mut this = Self { server, app, program, port, envoy: None };
        this.start_envoy();
        Some(this)
    }

    /// Starts Envoy, and waits until it answers.
    pub(crate) fn start_envoy(&mut self) {
        let arguments = ["-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "-l", "warning"];
        let program = self.program.to_str().expect("UTF-8");
        self.envoy = Some(Process::start(self.server.checkout.command(program).args(arguments)));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > PATIENCE {
                panic!("Envoy never listened: {}", self.stop_envoy());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.until(401);
    }

    /// Ends Envoy, and hands out what it logged.
    pub(crate) fn stop_envoy(&mut self) -> String {
        self.envoy.take().expect("an Envoy that runs").stop().err
    }

    /// Waits until a request without a key gets this status.
    pub(crate) fn until(&self, status: u16) {
        let begun = Instant::now();
        loop {
            let reply = self.get("/account", &[]);
            if reply.status == status {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no {status} in time, but {reply:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes a key of the application with these fields: its id and its secret.
    pub(crate) fn key(&self, fields: &serde_json::Value) -> (String, String) {
        let mut request = json!({"application_id": self.app, "name": "key"});
        let fields = fields.as_object().expect("fields").clone();
        request.as_object_mut().expect("an object").extend(fields);
        let made = self.server.call("KeyService/CreateKey", &request.to_string());
        (field(&made, "key_id"), field(&made, "secret"))
    }

    pub(crate) fn revoke(&self, key_id: &str) {
        let request = json!({"application_id": self.app, "key_id": key_id});
        self.server.call("KeyService/RevokeKey", &request.to_string());
    }

    /// `GET` by a client with these headers, as they stand.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.exchange(&format!(
            "{method} {path} HTTP/1.1\r\nhost: shop.example.com\r\nconnection: close\r\n{headers}\r\n"
        ))
    }

    /// Whatever is sent on a connection, and the one answer.
    pub(crate) fn exchange(&self, sent: &str) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("Envoy listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // Envoy may answer and close before it has read what is too much.
        let _ = stream.write_all(sent.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Reply::read(&String::from_utf8(answer).expect("UTF-8"))
    }
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    fn read(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an HTTP answer, not {answer:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        Self { status: status.expect("a status"), headers: headers(lines), body: body.to_owned() }
    }

    /// All values of a header, in their order.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The JSON of a refusal.
    pub(crate) fn refusal(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), ["application/json"], "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The headers that the upstream got.
    pub(crate) fn upstream(&self) -> Upstream {
        assert_eq!(self.status, 200, "{self:?}");
        Upstream(headers(self.body.lines().skip(1)))
    }
}

/// What an upstream saw of a request.
#[derive(Debug)]
pub(crate) struct Upstream(Vec<(String, String)>);

impl Upstream {
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        values(&self.0, name)
    }

    /// Those whose name passes `wanted`, by name.
    pub(crate) fn named(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let mut named: Vec<_> = self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect();
        named.sort();
        named
    }
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    lines.take_while(|line| !line.is_empty()).filter_map(pair).collect()
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

/// An upstream that answers with the head of the request, as it came, and that believes to
/// have a say on `x-ratelimit-limit`. Its port.
fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            let fixed = "HTTP/1.1 200 OK\r\nconnection: close\r\nx-ratelimit-limit: upstream\r\ncontent-length: ";
            let _ = stream.write_all(format!("{fixed}{}\r\n\r\n", head.len()).as_bytes());
            let _ = stream.write_all(&head);
        }
    });
    port
}

/// A service account that verifies, and its credentials in `gateway.json`.
fn write_credentials(server: &Deployment, app: &str) {
    let account = json!({"name": "gateway", "roles": ["ROLE_VERIFIER"], "application_ids": [app],
        "client_certificate_names": [NAME]});
    let request = json!({"service_account": account}).to_string();
    let made = server.call("ServiceAccountService/CreateServiceAccount", &request);
    let (id, email) = (field(&made, "service_account_id"), field(&made, "client_email"));
    let key = PrivateKey::generate().expect("entropy");
    let request = json!({"service_account_id": id, "public_key_pem": key.public().to_pem()});
    server.call("ServiceAccountService/AddServiceAccountKey", &request.to_string());
    let account = Account {
        client_id: id,
        client_email: email,
        audience: "portcullis".to_owned(),
        endpoint: Some(format!("https://localhost:{}", server.port)),
    };
    Credentials::new(account, key).write_new(&server.checkout.file("gateway.json")).expect("write");
}

/// `docs/envoy.yaml` with the addresses and paths of this test.
fn configuration(server: &Deployment, port: u16, upstream: u16) -> String {
    let ca = server.checkout.file("ca.pem").display().to_string();
    let here = |port| format!("address: 127.0.0.1, port_value: {port}");
    [
        ("address: 0.0.0.0, port_value: 8080", here(port)),
        ("address: api.example.com, port_value: 8081", here(upstream)),
        ("portcullis.example.com:50051", format!("localhost:{}", server.port)),
        ("/etc/envoy/portcullis-ca.pem", ca),
    ]
    .into_iter()
    .fold(fs::read_to_string(source("docs/envoy.yaml")).expect("docs/envoy.yaml"), |text, (theirs, ours)| {
        assert_eq!(text.matches(theirs).count(), 1, "{theirs} stands there once");
        text.replace(theirs, &ours)
    })
}

/// How `docs/envoy.md` says to copy the configuration and to put the credentials into it.
fn documented_command() -> String {
    let page = fs::read_to_string(source("docs/envoy.md")).expect("docs/envoy.md");
    let blocks =
        page.split("\n```sh run-by=tests/it/gateway.rs\n").skip(1).filter_map(|rest| rest.split("\n```\n").next());
    blocks.filter(|block| block.contains("envoy.in.yaml")).collect::<Vec<_>>().join("\n")
}
