//! `portcullis audit`, as an operator has it.

use std::{fs, path::Path};

use crate::harness::{
    Rows,
    dev::Dev,
    program::{Checkout, Ended, run},
};

impl Dev {
    fn audit(&self, checkout: &Checkout, arguments: &[&str]) -> Ended {
        let arguments = [&["audit"], arguments].concat();
        run(self.caller(checkout, &mut checkout.portcullis(&arguments)))
    }

    fn makes_keys(&self, checkout: &Checkout, count: usize) {
        let create = format!(r#"{{"application_id": "{}", "name": "k"}}"#, self.app);
        for _ in 0..count {
            self.call(checkout, "KeyService/CreateKey", &create);
        }
    }
}

fn database(checkout: &Checkout) -> std::path::PathBuf {
    checkout.file("portcullis-data/portcullis.db")
}

fn change(database: &Path, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { Rows::of(database).await.change(sql).await });
}

#[test]
fn verify_says_what_is_wrong_and_where_and_checkpoint_signs_only_what_is_whole() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    dev.makes_keys(&checkout, 3);
    let whole = dev.audit(&checkout, &["verify"]).good();
    let begin = "5 events, all as written; the last one's hash is ";
    assert!(whole.starts_with(begin) && whole.len() == begin.len() + 65, "{whole}");

    let signed = dev.audit(&checkout, &["checkpoint", "--out", "one.json"]).good();
    assert_eq!(signed, whole.replace('\n', "; signed in one.json\n"));
    let checkpoint = fs::read_to_string(checkout.file("one.json")).expect("the checkpoint");
    assert!(checkpoint.contains("\"seq\": 5") && checkpoint.contains(whole[begin.len()..].trim_end()), "{checkpoint}");
    let again = dev.audit(&checkout, &["checkpoint", "--out", "one.json"]).refused(2);
    assert_eq!(again, "error: one.json: is there already, and is not overwritten: choose another path\n");
    assert_eq!(fs::read_to_string(checkout.file("one.json")).expect("the checkpoint"), checkpoint);
    let held = dev.audit(&checkout, &["verify", "--checkpoint", "one.json"]).good();
    assert!(held.starts_with(&whole) && held.contains("\nholds to one.json, signed at 20"), "{held}");

    dev.makes_keys(&checkout, 1);
    let both = ["checkpoint", "--out", "two.json", "--checkpoint", "one.json"];
    assert!(dev.audit(&checkout, &both).good().starts_with("6 events, all as written"));

    change(&database(&checkout), "UPDATE audit_event SET peer = '192.0.2.1:1' WHERE seq = 4");
    for command in [&["verify"][..], &["checkpoint", "--out", "three.json"]] {
        let broken = dev.audit(&checkout, command);
        assert_eq!(broken.code, Some(1));
        assert_eq!(broken.out, "event 4 was edited: its fields do not give its hash\n");
        assert!(broken.err.starts_with("error: the audit log is not what was written: keep "), "{}", broken.err);
    }
    assert!(!checkout.file("three.json").exists(), "nothing is signed");

    change(&database(&checkout), "DELETE FROM audit_event WHERE seq = 4");
    assert_eq!(dev.audit(&checkout, &["verify"]).out, "event 4 is missing: removed\n");
}

#[test]
fn a_backup_that_was_put_back_is_found_against_a_checkpoint_only() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    dev.makes_keys(&checkout, 2);
    let address = dev.address.clone();
    assert_eq!(dev.process.stop().code, Some(0));
    let head = || database(&checkout).with_extension("db.head");
    fs::copy(database(&checkout), checkout.file("backup.db")).expect("a backup");
    fs::copy(head(), checkout.file("backup.db.head")).expect("and the number that is kept beside it");

    let dev = Dev::start_at(&checkout, &address);
    dev.makes_keys(&checkout, 2);
    dev.audit(&checkout, &["checkpoint", "--out", "one.json"]).good();
    assert_eq!(dev.process.stop().code, Some(0));
    fs::copy(checkout.file("backup.db"), database(&checkout)).expect("the backup, put back");
    fs::copy(checkout.file("backup.db.head"), head()).expect("by somebody who knows of both");

    let dev = Dev::start_at(&checkout, &address);
    let held = ["verify", "--checkpoint", "one.json"];
    assert!(dev.audit(&checkout, &["verify"]).good().starts_with("4 events, all as written"));
    let cut = dev.audit(&checkout, &held);
    let told =
        "the tail is cut off: one.json was signed when event 6 was the last, and the last one that is there is 4\n";
    assert_eq!((cut.code, &*cut.out), (Some(1), told));
    dev.makes_keys(&checkout, 3);
    assert!(dev.audit(&checkout, &["verify"]).good().starts_with("7 events, all as written"));
    let other = dev.audit(&checkout, &held);
    let told = "event 6 is not the one that one.json was signed over: the log was rewritten or replaced since\n";
    assert_eq!((other.code, &*other.out), (Some(1), told));
}

#[test]
fn a_checkpoint_counts_only_with_its_signature() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    dev.audit(&checkout, &["checkpoint", "--out", "one.json"]).good();
    let good = fs::read_to_string(checkout.file("one.json")).expect("the checkpoint");
    fs::write(checkout.file("bent.json"), good.replace("\"seq\": 2", "\"seq\": 1")).expect("write");
    let bent = dev.audit(&checkout, &["verify", "--checkpoint", "bent.json"]).refused(1);
    assert!(bent.starts_with("error: bent.json: its signature does not verify"), "{bent}");
    fs::write(checkout.file("none.json"), "{}").expect("write");
    let none = dev.audit(&checkout, &["verify", "--checkpoint", "none.json"]).refused(2);
    assert!(none.starts_with("error: none.json: not a checkpoint: give a file that"), "{none}");
    let gone = dev.audit(&checkout, &["verify", "--checkpoint", "gone.json"]).refused(2);
    assert!(gone.starts_with("error: gone.json: cannot read the checkpoint"), "{gone}");

    // Another admin, who has the key of the first.
    let other = Checkout::new();
    let there = Dev::start(&other);
    let file = checkout.file("one.json").display().to_string();
    let foreign = there.audit(&other, &["verify", "--checkpoint", &file]).refused(2);
    assert!(foreign.contains("was signed by the key ") && foreign.contains("--public-key FILE"), "{foreign}");
    let get = dev.call(&checkout, "ServiceAccountService/ListServiceAccounts", "{}");
    let json: serde_json::Value = serde_json::from_str(&get).expect("JSON");
    let pem = json["service_accounts"][0]["keys"][0]["public_key_pem"].as_str().expect("a key");
    fs::write(other.file("admin.pem"), pem).expect("write");
    let foreign = there.audit(&other, &["verify", "--checkpoint", &file, "--public-key", "admin.pem"]);
    assert_eq!(foreign.code, Some(1));
    assert!(foreign.out.contains("it is of another history"), "{}", foreign.out);
}

#[test]
fn only_an_account_with_all_applications_verifies() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let account = format!(
        r#"{{"service_account": {{"name": "v", "roles": ["ROLE_VIEWER"], "application_ids": ["{}"]}}}}"#,
        dev.app
    );
    let made = dev.call(&checkout, "ServiceAccountService/CreateServiceAccount", &account);
    let field = |name| crate::harness::dev::field(&made, name);
    let key = portcullis::signing::PrivateKey::generate().expect("a key");
    let pem = key.public().to_pem().replace('\n', "\\n");
    let add = format!(r#"{{"service_account_id": "{}", "public_key_pem": "{pem}"}}"#, field("service_account_id"));
    dev.call(&checkout, "ServiceAccountService/AddServiceAccountKey", &add);
    let account = portcullis::client::Account {
        client_id: field("service_account_id"),
        client_email: field("client_email"),
        audience: portcullis::signing::DEFAULT_AUDIENCE.to_owned(),
        endpoint: None,
    };
    portcullis::client::Credentials::new(account, key).write_new(&checkout.file("viewer.json")).expect("write");
    let refused = dev.audit(&checkout, &["verify", "--credentials", "viewer.json"]).refused(1);
    assert_eq!(refused, "error: only an account with all applications sees the whole audit log: use its credentials\n");
}
