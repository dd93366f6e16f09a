//! The settings that docs/operations.md shows are typed as they stand, but for where its folders are.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{check::findings, sqlite::portcullis};
use crate::{clients::source, harness::program::run};

#[test]
fn sqlite_the_settings_of_the_page_are_accepted_once_what_they_name_is_there() {
    let folder = tempfile::tempdir().expect("folder");
    let here = |name: &str| folder.path().join(name).display().to_string();
    let page = fs::read_to_string(source("docs/operations.md")).expect("docs/operations.md");
    let settings = page.split("\n```toml\n").nth(1).and_then(|rest| rest.split("```\n").next()).expect("the settings");
    let settings = ["/etc/portcullis/", "/var/lib/portcullis/"]
        .iter()
        .fold(settings.to_owned(), |text, away| text.replace(away, &here("")));
    let file = here("portcullis.toml");
    fs::write(&file, settings).expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
    let check = || portcullis(&["check", "--json", "--config", &file]);
    assert_eq!(check().code, Some(2), "nothing that it names is there");

    let made = "umask 077; openssl req -x509 -newkey rsa:2048 -nodes -days 90 -keyout tls.key -out tls.crt -subj /CN=x \
        -addext subjectAltName=DNS:x -addext basicConstraints=critical,CA:FALSE; openssl rand -base64 32 >secrets.key";
    run(std::process::Command::new("sh").args(["-euc", made]).current_dir(folder.path())).good();
    portcullis(&["migrate", "--config", &file]).good();
    portcullis(&["bootstrap", "--config", &file, "--out", &here("admin.json"), "--endpoint", "https://x:50051"]).good();
    let checked = check();
    let found = findings(&checked);
    for of in
        ["settings", "settings file", "certificate", "private key", "secrets key", "database", "schema", "secrets"]
    {
        assert_eq!(found[of].0, "ok", "{of}: {:?}", found[of]);
    }
    // How many files may be open and how much room there is are this machine's affair.
    assert!(checked.code < Some(2), "{checked:?}");
}
