//! The newcomer's command, in a folder of its own.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use crate::harness::{
    dev::{Dev, field},
    program::{Checkout, Ended, run},
};

#[test]
fn what_it_prints_can_be_pasted_and_its_own_watch_shows_the_revocation() {
    let checkout = Checkout::new();
    let mut dev = Dev::start(&checkout);
    assert!(dev.said[0].contains("Made the database, an application and an admin's credentials."), "{}", dev.said[0]);
    let admin = fs::metadata(checkout.file("portcullis-data/admin.json")).expect("credentials");
    assert_eq!(admin.permissions().mode() & 0o777, 0o600);

    // In another folder, as another terminal is.
    let mut sh = checkout.command("sh");
    let pasted = run(sh.args(["-e", "-c", &dev.to_paste()]).current_dir("/"));
    assert_eq!((pasted.code, pasted.err.as_str()), (Some(0), ""));
    for shown in ["\"secret\": \"sk_live_", "VERDICT_VALID", "KEY_STATE_REVOKED", "VERDICT_REVOKED", "{\"revocation\":"]
    {
        assert!(pasted.out.contains(shown), "{shown} in {}", pasted.out);
    }
    let told = dev.process.until(|line| line.contains("REVOKED")).pop().expect("a line");
    let key = told.split(' ').nth_back(1).expect("the key").to_owned();
    assert!(key.starts_with("key_") && pasted.out.contains(&key), "{told}");

    let ended = dev.process.stop();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn stopping_and_starting_again_loses_nothing() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let create = format!(r#"{{"application_id": "{}", "name": "k"}}"#, dev.app);
    let [lives, dies] = [(); 2].map(|()| dev.call(&checkout, "KeyService/CreateKey", &create));
    let revoke = format!(r#"{{"application_id": "{}", "key_id": "{}"}}"#, dev.app, field(&dies, "key_id"));
    dev.call(&checkout, "KeyService/RevokeKey", &revoke);
    let (address, app) = (dev.address.clone(), dev.app.clone());
    let credentials = fs::read(checkout.file("portcullis-data/admin.json")).expect("credentials");
    assert_eq!(dev.process.stop().code, Some(0));

    let again = Dev::start_at(&checkout, &address);
    assert!(again.said[0].ends_with("Going on where it was."), "{}", again.said[0]);
    assert_eq!(again.app, app);
    assert_eq!(fs::read(checkout.file("portcullis-data/admin.json")).expect("credentials"), credentials);
    for (made, verdict) in [(&lives, "VERDICT_VALID"), (&dies, "VERDICT_REVOKED")] {
        let request = format!(r#"{{"secret": "{}"}}"#, field(made, "secret"));
        assert_eq!(field(&again.call(&checkout, "KeyService/VerifyKey", &request), "verdict"), verdict);
    }
}

#[test]
fn a_second_one_on_the_same_folder_is_refused() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let second = checkout.run(&["dev", "--listen", "127.0.0.1:0"]).refused(1);
    let lock = checkout.file("portcullis-data/portcullis.db.lock").canonicalize().expect("the lock");
    assert_eq!(
        second,
        format!(
            "error: ./portcullis-data/portcullis.db is in use by another portcullis; stop that one first ({} is its lock)\n",
            lock.display()
        )
    );
    // By whatever name: two processes on one file would answer by two indexes.
    std::os::unix::fs::symlink(checkout.file("portcullis-data"), checkout.file("alias")).expect("link");
    let alias = checkout.run(&["dev", "--data-dir", "alias", "--listen", "127.0.0.1:0"]).refused(1);
    assert!(alias.contains("is in use by another portcullis"), "{alias}");
    std::os::unix::fs::symlink("portcullis.db", checkout.file("portcullis-data/other.db")).expect("link");
    let other = checkout.run(&["serve", "--database-url=sqlite://portcullis-data/other.db", "--listen=127.0.0.1:0"]);
    let other = other.refused(1);
    assert!(other.contains("is in use by another portcullis"), "{other}");
    dev.call(&checkout, "ApplicationService/ListApplications", "{}");
}

#[test]
fn credentials_of_another_database_are_refused_with_advice_that_works() {
    let [one, other] = [Checkout::new(), Checkout::new()];
    for checkout in [&one, &other] {
        assert_eq!(Dev::start(checkout).process.stop().code, Some(0));
    }
    let file = one.file("portcullis-data/admin.json");
    fs::copy(other.file("portcullis-data/admin.json"), &file).expect("copy");
    assert_eq!(
        one.run(&["dev", "--listen", "127.0.0.1:0"]).refused(1),
        "error: ./portcullis-data/admin.json is not of this database: move it away, and a new one is made at the next \
         start\n"
    );
    fs::remove_file(&file).expect("remove");
    let dev = Dev::start(&one);
    dev.call(&one, "ApplicationService/ListApplications", "{}");
}

#[test]
fn it_stays_on_this_machine() {
    let refused = Checkout::new().run(&["dev", "--listen", "0.0.0.0:50051"]).refused(2);
    assert_eq!(
        refused,
        "error: 0.0.0.0:50051 is not loopback: `dev` has no TLS and stays on this machine; use `portcullis serve`\n"
    );
}

#[test]
fn a_port_in_use_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let refused = Checkout::new().run(&["dev", "--listen", &address]).refused(1);
    assert!(refused.starts_with(&format!("error: cannot listen on {address}: Address already in use")), "{refused}");
    assert!(refused.contains("--listen"), "{refused}");
}

#[test]
fn every_help_says_what_it_does_shows_an_example_and_names_a_variable_for_each_setting() {
    let checkout = Checkout::new();
    for command in ["dev", "serve", "migrate", "bootstrap"] {
        let Ended { code, out, err } = checkout.run(&[command, "--help"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains(&format!("\nExample:\n  portcullis {command} ")), "{out}");
        assert!(out.split("\nUsage:").next().expect("about").lines().count() >= 3, "{out}");
        let (_, options) = out.split_once("\nOptions:").expect("options");
        for option in options.split("\n      --").skip(1) {
            let name = option.split([' ', '\n']).next().expect("name");
            // What is said once, at the bootstrap of a deployment, is no setting of it.
            let once = command == "bootstrap" && ["out", "name", "if-needed"].contains(&name);
            // With what it is set to, unless that may be a password.
            let variable = format!("[env: PORTCULLIS_{}", name.to_uppercase().replace('-', "_"));
            let shown = if name == "database-url" { "]" } else { "=" };
            assert!(once || option.contains(&format!("{variable}{shown}")), "{command} --{name}: {option}");
        }
    }
}
