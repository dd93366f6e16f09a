//! What a server with TLS shows of its certificates. `dev` has none.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

use super::{binary::admin_address, scrape::get};

const ALL: &str = "portcullis_tls_";
const NAME: &str = "portcullis_tls_certificate_not_after_seconds";
const FAILED: &str = "portcullis_tls_reload_failed";
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
    until_shown(log.path(), &mut server, NAME);
    fs::write(folder.path().join("server.pem"), "no certificate").expect("write");
    let told = Command::new("kill").args(["-s", "HUP", &server.id().to_string()]).status().expect("kill");
    assert!(told.success());
    let text = until_shown(log.path(), &mut server, &failed("server", 1));
    server.kill().expect("killed");
    server.wait().expect("ended");
    text.lines().filter(|line| line.contains(ALL)).map(|line| format!("{line}\n")).collect()
}

fn failed(whose: &str, is: u8) -> String {
    format!("{FAILED}{{portcullis_certificate=\"{whose}\"}} {is}")
}

/// Three authorities, of which the second one ends next, and the last has ended.
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
    let ended = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    let authorities = [made(2, authority), made(1, authority), made(1, ended)].map(|(certificate, _)| certificate);
    fs::write(folder.join("ca.pem"), authorities.concat()).expect("write");
}

fn until_shown(log: &Path, server: &mut Child, wanted: &str) -> String {
    let begun = Instant::now();
    loop {
        assert!(server.try_wait().expect("wait").is_none(), "it has ended");
        let text = admin_address(log).map_or_else(String::new, |admin| get(admin, "/metrics").1);
        if text.contains(wanted) {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "its certificates are not shown:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_end_of_the_certificate_in_use_is_shown_and_that_of_the_next_authority_to_end() {
    let lines = shown_of(NAME);
    let expected = [("server", ENDS[0].1), ("client_authority", ENDS[1].1)]
        .map(|(whose, end)| format!("{NAME}{{portcullis_certificate=\"{whose}\"}} {end}"));
    assert_eq!(lines, expected);
}

#[test]
fn a_file_that_is_not_taken_stays_visible_by_whose_it_is() {
    assert_eq!(shown_of(FAILED), [failed("server", 1), failed("client_authority", 0)]);
}

fn shown_of(name: &str) -> Vec<String> {
    super::scrape::scraped().lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}
