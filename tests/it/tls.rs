//! TLS as an operator sets it up: migrate, bootstrap, serve, and callers who know the server
//! by its certificate.

use std::fs;

use portcullis_migrations::{Migrator, MigratorTrait as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::{
    clients::source,
    gateway,
    harness::program::{Checkout, Process, free_port, run, tool},
};

const DATABASE: &str = "--database-url=sqlite://keys.db";

/// A server with TLS, an admin, and the certificates of `ca.pem` (its own) and `other.pem`; and of clients: the
/// gateway's, a stranger's of the same authority, and one with the gateway's name by the other authority.
pub(crate) struct Deployment {
    pub(crate) checkout: Checkout,
    pub(crate) port: u16,
    serve: Option<Process>,
}

impl Deployment {
    pub(crate) fn start() -> Self {
        let mut deployment = Self { checkout: Checkout::new(), port: free_port(), serve: None };
        let (checkout, url) = (&deployment.checkout, deployment.url());
        write_certificates(checkout);
        let applied = format!("{} migrations applied\n", Migrator::migrations().len());
        assert_eq!(checkout.run(&["migrate", DATABASE]).good(), applied);
        assert_eq!(checkout.run(&["migrate", DATABASE]).good(), "there is nothing to migrate\n");
        let bootstrap = ["bootstrap", DATABASE, "--out", "admin.json", "--endpoint", &url];
        assert!(checkout.run(&bootstrap).good().starts_with("made the admin sa_"));
        deployment.serve();
        deployment
    }

    /// Starts the server, and waits until it answers.
    pub(crate) fn serve(&mut self) {
        self.serve_with(&[]);
    }

    pub(crate) fn serve_with(&mut self, more: &[&str]) {
        let (listen, audience) = (format!("0.0.0.0:{}", self.port), format!("--token-audience={}", self.url()));
        // Whoever shows no certificate is served as ever.
        let tls = ["--tls-cert=server.pem", "--tls-key=server.key", "--tls-client-ca=ca.pem"];
        let mut serve = self.checkout.portcullis(&["serve", DATABASE, "--listen", &listen, &audience]);
        self.serve = Some(Process::start(serve.args(tls).args(more)));
        self.until_it_serves();
    }

    /// Stops it, as an operator does, and hands out what it logged.
    pub(crate) fn stop(&mut self) -> String {
        let ended = self.serve.take().expect("a server that runs").stop();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.err
    }

    fn signal(&self, signal: &str) {
        self.serve.as_ref().expect("a server that runs").signal(signal);
    }

    /// It answers nothing meanwhile, and its connections stand.
    pub(crate) fn paused<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.signal("STOP");
        let done = meanwhile();
        self.signal("CONT");
        done
    }

    /// As the admin.
    pub(crate) fn call(&self, method: &str, request: &str) -> String {
        let arguments = ["call", method, "--credentials=admin.json", "--ca-cert=ca.pem", "-d", request];
        self.checkout.run(&arguments).good()
    }

    fn until_it_serves(&self) {
        let shown = ["--client-cert", "gateway.pem", "--client-key", "gateway.key"];
        let url = self.url();
        let health = [&["health", "--endpoint", &url, "--ca-cert", "ca.pem"][..], &shown].concat();
        let serves = (0..200).any(|_| {
            let asked = self.checkout.run(&health);
            if asked.code != Some(0) {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            asked.code == Some(0)
        });
        assert!(serves, "{:?}", self.checkout.run(&health));
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

fn write_certificates(checkout: &Checkout) {
    let write = |name: &str, text: String| fs::write(checkout.file(name), text).expect("write");
    let authority = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("certificate");
        (certificate.pem(), Issuer::new(params, key))
    };
    let client = |name: &str, issuer: &Issuer<'_, KeyPair>, san: &str| {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(san.try_into().expect("ASCII"))];
        write(&format!("{name}.pem"), params.signed_by(&key, issuer).expect("certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    };
    let (ca, issuer) = authority();
    let key = KeyPair::generate().expect("key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("name");
    write("server.pem", params.signed_by(&key, &issuer).expect("certificate").pem());
    write("server.key", key.serialize_pem());
    client("gateway", &issuer, gateway::NAME);
    client("stranger", &issuer, "spiffe://example.org/stranger");
    write("ca.pem", ca);
    let (other, issuer) = authority();
    client("foreign", &issuer, gateway::NAME);
    write("other.pem", other);
}

#[test]
fn call_knows_the_server_by_its_authority_and_name() {
    let deployment = Deployment::start();
    let call = |more: &[&str]| {
        let mut call = deployment.checkout.portcullis(&["call", "ApplicationService/ListApplications"]);
        run(call.args(["--credentials", "admin.json"]).args(more))
    };
    assert!(call(&["--ca-cert", "ca.pem"]).good().contains("\"revision\": "));
    let refused = call(&["--ca-cert", "other.pem"]).refused(1);
    assert!(refused.contains("cannot connect to https://localhost") && refused.contains("certificate"), "{refused}");
    let refused = call(&[]).refused(1);
    assert!(refused.contains("certificate"), "by the system's authorities: {refused}");
    let refused = call(&["--ca-cert", "ca.pem", "--server-name", "keys.example.com"]).refused(1);
    assert!(refused.contains("not valid for name"), "{refused}");
    let plain = format!("http://localhost:{}", deployment.port);
    call(&["--endpoint", &plain]).refused(1);
}

/// What Google's libraries make of a service account's file works as it is.
#[test]
fn google_auth_calls_over_tls_with_the_credentials_file_as_it_is() {
    let Some(python) = tool("PORTCULLIS_TEST_PYTHON") else { return };
    let deployment = Deployment::start();
    let checkout = &deployment.checkout;
    let mut client = checkout.command(python.to_str().expect("UTF-8"));
    client.arg("-B").arg(source("tests/clients/google_client.py"));
    client.args(["--proto", &source("proto"), "--credentials", "admin.json", "--ca", "ca.pem"]);
    let done = run(client.args(["--target", &format!("localhost:{}", deployment.port)])).good();
    let expected = ["jwt.Credentials", "jwt.OnDemandCredentials", "service_account.Credentials"]
        .map(|kind| format!("{kind} verifies: VERDICT_MALFORMED\n{kind} watches: bookmark\n"));
    assert_eq!(done, expected.concat());
}

#[test]
fn what_is_no_way_to_listen_is_said_before_anything_starts() {
    let checkout = Checkout::new();
    write_certificates(&checkout);
    checkout.run(&["migrate", DATABASE]).good();
    let serve = |more: &[&str]| run(checkout.portcullis(&["serve", DATABASE, "--listen=127.0.0.1:0"]).args(more));
    assert_eq!(
        checkout.run(&["serve", DATABASE, "--listen", "0.0.0.0:50051"]).refused(2),
        "error: 0.0.0.0:50051 is not loopback, and secrets would cross the network in plain: give --tls-cert and \
         --tls-key, or say with --plaintext-beyond-loopback that something else encrypts each way here, such as a mesh\n"
    );
    for (one, other) in [("tls-cert", "tls-key"), ("tls-key", "tls-cert")] {
        let refused = serve(&[&format!("--{one}"), "server.pem"]).refused(2);
        assert_eq!(refused, format!("error: a setting is wrong:\n  {one} (--{one}): needs --{other}\n"));
    }
    let refused = serve(&["--tls-cert", "absent.pem", "--tls-key", "server.key"]).refused(2);
    assert!(refused.starts_with("error: cannot read absent.pem: "), "{refused}");
    let refused = serve(&["--tls-cert", "server.key", "--tls-key", "server.pem"]).refused(2);
    assert_eq!(refused.matches("are --tls-cert and --tls-key swapped?").count(), 2, "{refused}");
    let refused =
        serve(&["--tls-require-client-cert", "--tls-cert", "server.pem", "--tls-key", "server.key"]).refused(2);
    assert!(refused.contains("(--tls-require-client-cert): needs --tls-client-ca\n"), "{refused}");
    for bad in ["--max-connections=0", "--max-calls=x", "--idle-timeout=0s", "--signature-checks-per-second=0"] {
        let refused = serve(&[bad]).refused(2);
        let flag = bad.split('=').next().expect("a flag");
        assert!(refused.contains("a setting is wrong") && refused.contains(&format!("({flag}): ")), "{refused}");
    }
}

/// Where something else encrypts.
#[test]
fn plaintext_beyond_loopback_is_asked_for_by_name_and_warned_of() {
    let checkout = Checkout::new();
    checkout.run(&["migrate", DATABASE]).good();
    let listen = format!("0.0.0.0:{}", free_port());
    let serve = ["serve", DATABASE, "--listen", &listen, "--plaintext-beyond-loopback"];
    let served = Process::start(&mut checkout.portcullis(&serve));
    let endpoint = format!("http://{}", listen.replace("0.0.0.0", "127.0.0.1"));
    let health = ["health", "--endpoint", &endpoint];
    let serves = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        checkout.run(&health).code == Some(0)
    });
    let ended = served.stop();
    assert!(serves && ended.err.contains("WARN"), "{}", ended.err);
    assert!(ended.err.contains("as --plaintext-beyond-loopback asks for"), "{}", ended.err);
}

/// A signal, and no restart: what is connected stays so.
#[test]
fn sighup_takes_a_renewed_certificate_over_at_once_and_says_what_is_wrong_with_another() {
    let mut deployment = Deployment::start();
    let old = fs::read_to_string(deployment.checkout.file("server.key")).expect("key");
    write_certificates(&deployment.checkout); // with another authority
    deployment.signal("HUP");
    deployment.until_it_serves();
    assert!(deployment.call("ApplicationService/ListApplications", "{}").contains("revision"));
    fs::write(deployment.checkout.file("server.key"), old).expect("write");
    deployment.signal("HUP");
    for _ in 0..3 {
        assert!(deployment.call("ApplicationService/ListApplications", "{}").contains("revision"));
    }
    let log = deployment.stop();
    assert!(log.contains("new TLS certificates are in use for new connections"), "{log}");
    assert!(log.contains("other authorities of client certificates are in use"), "{log}");
    assert!(log.contains("changed TLS files are not taken: the certificates from before stay in use"), "{log}");
    assert!(log.contains("is not the key of the first certificate in server.pem"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn an_operator_is_told_what_to_do_first() {
    let checkout = Checkout::new();
    let said = checkout.run(&["serve", DATABASE, "--listen=127.0.0.1:0"]).refused(1);
    assert_eq!(said, "error: there is no database at keys.db; make it with `portcullis migrate`\n");
    checkout.run(&["migrate", DATABASE]).good();
    let bootstrap = ["bootstrap", DATABASE, "--out", "admin.json"];
    checkout.run(&bootstrap).good();
    let said = checkout.run(&bootstrap).refused(1);
    assert_eq!(
        said,
        "error: admin.json: is there already, and is not overwritten: move it away, or choose another path\n"
    );
    let said = checkout.run(&["bootstrap", DATABASE, "--out", "b.json", "--if-needed"]).good();
    assert_eq!(said, "there is an admin already; nothing was done\n");
    let said = checkout.run(&["bootstrap", DATABASE, "--out", "no/such/folder.json"]).refused(1);
    assert!(said.starts_with("error: no/such/folder.json: cannot write"), "{said}");
}
