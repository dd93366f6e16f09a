//! What a server with TLS shows of its certificates. `dev` has none.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

use super::{binary::admin_address, scrape::get};

const NAME: &str = "portcullis_tls_certificate_not_after_seconds";
/// 2100-01-01, 2101-01-01 and 2102-01-01, at midnight.
const ENDS: [(i32, i64); 3] = [(2100, 4_102_444_800), (2101, 4_133_980_800), (2102, 4_165_516_800)];

/// The lines about them, once the server has said them.
pub(crate) fn shown() -> String {
    let folder = tempfile::tempdir().expect("folder");
    write_certificates(folder.path());
    let log = tempfile::NamedTempFile::new().expect("file");
    let portcullis = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).args(["--database-url", "sqlite://keys.db"]).current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(log.reopen().expect("file")).spawn().expect("started")
    };
    assert!(portcullis(&["migrate"]).wait().expect("ended").success());
    let listen = ["serve", "--log", "info", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "ca.pem"];
    let mut server = portcullis(&[&listen[..], &tls].concat());
    let text = until_shown(log.path(), &mut server);
    server.kill().expect("killed");
    server.wait().expect("ended");
    text.lines().filter(|line| line.contains(NAME)).map(|line| format!("{line}\n")).collect()
}

/// Two authorities, of which the second one ends first.
fn write_certificates(folder: &Path) {
    let made = |end: usize, change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("name");
        params.not_after = date_time_ymd(ENDS[end].0, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        (params.self_signed(&key).expect("certificate").pem(), key.serialize_pem())
    };
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (certificate, key) = made(0, |_| {});
    fs::write(folder.join("server.pem"), certificate).expect("write");
    fs::write(folder.join("server.key"), key).expect("write");
    fs::write(folder.join("ca.pem"), made(2, authority).0 + &made(1, authority).0).expect("write");
}

fn until_shown(log: &Path, server: &mut Child) -> String {
    let begun = Instant::now();
    loop {
        assert!(server.try_wait().expect("wait").is_none(), "it has ended");
        let text = admin_address(log).map_or_else(String::new, |admin| get(admin, "/metrics").1);
        if text.contains(NAME) {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "its certificates are not shown:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_end_of_the_certificate_in_use_is_shown_and_that_of_the_first_authority_to_end() {
    let lines: Vec<String> =
        super::scrape::scraped().lines().filter(|line| line.starts_with(NAME)).map(str::to_owned).collect();
    let expected = [("server", ENDS[0].1), ("client_authority", ENDS[1].1)]
        .map(|(whose, end)| format!("{NAME}{{portcullis_certificate=\"{whose}\"}} {end}"));
    assert_eq!(lines, expected);
}
