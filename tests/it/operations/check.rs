//! `portcullis check`: what it finds, its exit code, and that it changes nothing.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use portcullis::store::Store;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

use super::sqlite::portcullis;
use crate::harness::{Data, Located as _, Rows, Server, program::Ended, receiver::Receiver};

/// With which the secrets of tests are encrypted.
const SECRETS_KEY: [u8; 32] = [42; 32];

/// Its findings by what was looked at; the last one of each.
pub(super) fn findings(ended: &Ended) -> BTreeMap<String, (String, String, bool)> {
    let value: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one =
        |one: &Value| (text(&one["check"]), (text(&one["level"]), text(&one["message"]), one["advice"].is_string()));
    let found: BTreeMap<_, _> = value["findings"].as_array().expect("a list").iter().map(one).collect();
    let worst = match ended.code {
        Some(0) => "ok",
        Some(1) => "warn",
        _ => "fail",
    };
    assert_eq!(value["result"], worst);
    for (level, said, has_advice) in found.values() {
        assert_eq!(*has_advice, level != "ok", "{said}");
    }
    found
}

fn check(url: &str, more: &[&str]) -> Ended {
    portcullis(&[&["check", "--json", "--database-url", url], more].concat())
}

fn said(ended: &Ended, of: &str) -> (String, String) {
    let (level, said, _) = findings(ended).remove(of).unwrap_or_else(|| panic!("{of}: {ended:?}"));
    (level, said)
}

fn fails(ended: &Ended, of: &str, what: &str) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let (level, said) = said(ended, of);
    assert!(level == "fail" && said.contains(what), "{of}: {level}, {said}");
}

/// All that is in a folder, to the byte.
fn all_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    files.map(|file| (file.display().to_string(), fs::read(&file).unwrap_or_default())).collect()
}

#[tokio::test]
async fn sqlite_a_database_is_found_as_it_is_and_nothing_is_changed() {
    let server = Server::start().await;
    let data = std::sync::Arc::clone(&server.data);
    let (path, url) = (data.path(), format!("sqlite://{}", data.path().display()));
    let running = check(&url, &[]);
    let (level, lock) = said(&running, "lock");
    assert!(level == "ok" && lock.contains("a server has it open"), "{lock}");
    server.key().await;
    server.ended().await;
    let folder = path.parent().expect("a folder");
    let before = all_of(folder);
    let ended = check(&url, &[]);
    let found = findings(&ended);
    assert!(
        found["schema"].1.ends_with(" migrations are applied") && found["history"].1.starts_with("up to revision ")
    );
    for of in ["settings", "listening", "database", "schema", "lock", "durability", "history", "admin", "secrets"] {
        assert_eq!(found[of].0, "ok", "{of}: {:?}", found[of]);
    }
    assert!(found["disk"].1.contains("MiB are free"));
    let table = portcullis(&["check", "--database-url", &url]);
    assert!(table.out.lines().any(|line| line.starts_with("ok    admin ")), "{}", table.out);
    assert_eq!(all_of(folder), before, "to the byte");

    let other = path.with_file_name("other.db");
    fs::hard_link(&path, &other).expect("a link");
    fails(&check(&url, &[]), "lock", "has another name beside this one");
    fs::remove_file(&other).expect("removed");

    fails(&check(&url, &["--listen=0.0.0.0:1"]), "listening", "is not loopback");
    fails(&check("sqlite:///nowhere/none.db", &[]), "database", "there is no database at /nowhere/none.db");
    let rows = Rows::of(path.as_path()).await;
    rows.change("UPDATE log_head SET restored = 1, restored_seq = 1").await;
    fails(&check(&url, &[]), "history", "nobody has said what it lost");
    rows.change("UPDATE log_head SET restored = 0").await;
    rows.change("DELETE FROM service_account_key").await;
    fails(&check(&url, &[]), "admin", "nobody can administer everything");
    rows.change("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
    let newer = check(&url, &[]);
    assert_eq!(said(&newer, "schema").0, "warn", "one that lets this program serve");
    rows.change("UPDATE log_head SET serves_from = 1000").await;
    fails(&check(&url, &[]), "schema", "it is of a newer version of portcullis (it has m29990101_000001_later)");
    rows.change("DELETE FROM seaql_migrations WHERE version LIKE '%later' OR version LIKE '%_ops'").await;
    fails(&check(&url, &[]), "schema", "1 of ");
    let empty = Data::file();
    fs::write(empty.path(), "").expect("an empty file");
    fails(&check(&format!("sqlite://{}", empty.path().display()), &[]), "schema", "there is none");
    fs::write(empty.path(), "this is no database, whatever its name says").expect("another");
    fails(&check(&format!("sqlite://{}", empty.path().display()), &[]), "database", "not a database");
}

#[tokio::test]
async fn sqlite_stored_secrets_must_open_and_files_with_secrets_be_ones_own() {
    let server = Server::start().await;
    server.hook(&Receiver::start().await.url).await;
    let url = format!("sqlite://{}", server.data.path().display());
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("secrets.key");
    let key = file.display().to_string();
    let write = |bytes: [u8; 32], mode: u32| {
        fs::write(&file, BASE64_STANDARD.encode(bytes)).expect("write");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
    };
    write(SECRETS_KEY, 0o600);
    let with = ["--secrets-key-file", key.as_str()];
    assert_eq!(said(&check(&url, &with), "secrets").1, "all 1 secrets of webhooks open");
    write(SECRETS_KEY, 0o644);
    let (level, mode) = said(&check(&url, &with), "secrets key");
    assert!(level == "warn" && mode.ends_with("its mode is 0644"), "{level}: {mode}");
    write([9; 32], 0o600);
    fails(&check(&url, &with), "secrets", "it was encrypted under a key that is not in the secrets key file");
    fails(&check(&url, &[]), "secrets", "1 of 1 secrets of webhooks do not open");
    fails(&check(&url, &["--secrets-key-file", "/nowhere/none"]), "settings", "cannot read the secrets key file");
}

#[test]
fn a_file_of_settings_with_a_secret_in_it_must_be_ones_own() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("portcullis.toml");
    let path = file.display().to_string();
    let of = |text: &str, mode: u32| {
        fs::write(&file, text).expect("write");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
        let ended = portcullis(&["check", "--json", "--config", &path]);
        assert!(!ended.out.contains("hunter2"), "{}", ended.out);
        said(&ended, "settings file")
    };
    let secret = "database-url = \"postgres://u:hunter2@127.0.0.1:1/d\"\nlease = \"5s\"\n";
    let (level, mode) = of(secret, 0o644);
    assert!(level == "warn" && mode.ends_with("its mode is 0644, and it holds database-url"), "{level}: {mode}");
    assert_eq!(of(secret, 0o640).0, "warn");
    assert_eq!(of(secret, 0o600).0, "ok");
    let open = "database-url = \"sqlite:///nowhere/none.db\"\nlease = \"5s\"\n";
    assert_eq!(of(open, 0o644).0, "ok", "nothing in it is secret");
    let server = "smtp-url = \"smtp://u@127.0.0.1:1\"\nsmtp-from = \"a@example.com\"\n";
    let mail = format!("{open}{server}smtp-password = \"hunter2\"\n");
    assert!(of(&mail, 0o644).1.contains("and it holds smtp-password"));
}

#[tokio::test]
async fn sqlite_a_certificate_must_be_good_and_the_key_its_own() {
    let server = Server::start().await;
    let url = format!("sqlite://{}", server.data.path().display());
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let key = KeyPair::generate().expect("a key");
    let other = KeyPair::generate().expect("a key");
    for (name, key) in [("own.key", &key), ("other.key", &other)] {
        fs::write(at(name), key.serialize_pem()).expect("write");
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    let make = |name: &str, from: i32, until: i32| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        fs::write(at(name), params.self_signed(&key).expect("signed").pem()).expect("write");
    };
    let authority = |name: &str, until: i32| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(until, 1, 1);
        fs::write(at(name), params.self_signed(&key).expect("signed").pem()).expect("write");
    };
    make("good.pem", 2020, 2200);
    make("expired.pem", 2020, 2021);
    make("later.pem", 2199, 2200);
    fs::write(at("none.pem"), "nothing").expect("write");
    let with =
        |pem: &str, key: &str| check(&url, &["--listen=0.0.0.0:1", "--tls-cert", &at(pem), "--tls-key", &at(key)]);
    let good = findings(&with("good.pem", "own.key"));
    assert_eq!((good["certificate"].0.as_str(), good["private key"].0.as_str()), ("ok", "ok"));
    fails(&with("expired.pem", "own.key"), "certificate", "ended at 2021-01-01T00:00:00");
    fails(&with("later.pem", "own.key"), "certificate", "is not good before 2199-01-01T00:00:00");
    fails(&with("none.pem", "own.key"), "certificate", "holds no certificate in PEM");
    fails(&with("gone.pem", "own.key"), "certificate", "cannot read ");
    fails(&with("good.pem", "other.key"), "certificate", "is not the key of the first certificate in");
    fails(&with("good.pem", "none.pem"), "certificate", "holds no private key that can be used");
    let both = with("expired.pem", "none.pem").out;
    assert!(both.contains("ended at 2021-01-01T00:00:00") && both.contains("holds no private key"), "{both}");
    let clients = |ca: &str| {
        check(&url, &["--tls-cert", &at("good.pem"), "--tls-key", &at("own.key"), "--tls-client-ca", &at(ca)])
    };
    authority("authority.pem", 2200);
    assert_eq!(findings(&clients("authority.pem"))["certificate"].0, "ok");
    authority("ended.pem", 2021);
    let ended = clients("ended.pem");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("ended at 2021-01-01T00:00:00") && ended.out.contains("put its successor beside it"));
    fails(&clients("good.pem"), "certificate", "is not the certificate of an authority");
    fails(&clients("none.pem"), "certificate", "--tls-client-ca");
    let plaintext = check(&url, &["--listen=0.0.0.0:1", "--plaintext-beyond-loopback"]);
    assert_eq!(said(&plaintext, "listening").0, "warn", "as `serve` says");
    fs::set_permissions(at("own.key"), fs::Permissions::from_mode(0o640)).expect("its mode");
    assert_eq!(with("good.pem", "own.key").code, Some(1), "others may read the key: a warning");
}

/// A server whose clock is ahead: its own function, found before the one that it comes with.
const AHEAD: &str = "CREATE SCHEMA ahead; \
    CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE \
    AS 'SELECT pg_catalog.clock_timestamp() + interval ''SECONDS seconds''';";

#[tokio::test]
async fn postgres_a_clock_that_is_ten_seconds_off_is_a_warning_with_the_figure_and_calls_go_on() {
    for (seconds, code, level) in [(10, Some(1), "warn"), (400, Some(2), "fail")] {
        let Some(data) = Data::empty_at_server().await else { return };
        Store::migrate(&data.database_url()).await.expect("migrate");
        let url = data.url();
        let folder = tempfile::tempdir().expect("folder");
        let out = folder.path().join("admin.json").display().to_string();
        portcullis(&["bootstrap", "--database-url", &url, "--out", &out]).good();
        Rows::of(&data).await.script(&AHEAD.replace("SECONDS", &seconds.to_string())).await;
        let sep = if url.contains('?') { '&' } else { '?' };
        let skewed = format!("{url}{sep}options=-c%20search_path%3Dpublic,ahead,pg_catalog");
        let ended = check(&skewed, &[]);
        let clock = said(&ended, "clock");
        assert_eq!((ended.code, clock.0.as_str()), (code, level), "{ended:?}");
        assert!(clock.1.contains(&format!("this machine's clock is {seconds}.")), "{clock:?}");
        assert_eq!(said(&check(&url, &[]), "clock").0, "ok");
    }
}
