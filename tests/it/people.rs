//! The commands for people, at terminals and in pipes, against a real server. `INSTA_UPDATE=always`
//! writes what they print anew; a change of it is seen in review.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use crate::harness::{
    dev::{Dev, field},
    program::{Checkout, Ended, run},
    terminal::{Shown, at_a_terminal},
};

/// A server, and an application with some keys.
struct Shop {
    checkout: Checkout,
    dev: Dev,
}

impl Shop {
    fn open() -> Self {
        let checkout = Checkout::new();
        let dev = Dev::start(&checkout);
        Self { checkout, dev }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.checkout.portcullis(arguments);
        self.dev.caller(&self.checkout, &mut command).env("PORTCULLIS_APP", &self.dev.app);
        command
    }

    /// In a pipe.
    fn piped(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.piped(&[arguments, &["--json"]].concat()).good();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    fn at(&self, columns: u16, arguments: &[&str]) -> Shown {
        at_a_terminal(self.command(arguments).env("NO_COLOR", "1"), columns, &[])
    }

    fn makes(&self, name: &str, more: &[&str]) -> String {
        let made = self.piped(&[&["key", "create", "--name", name, "--json"], more].concat()).good();
        field(&made, "key_id")
    }
}

/// No terminal. So it is where times stand in tables: in words they would be of another width a minute later.
const PIPE: u16 = 0;

/// What is another at each run, replaced by something as long.
fn alike(text: &str) -> String {
    static VARIES: LazyLock<Regex> = LazyLock::new(|| {
        let kinds = [
            r"(?<id>(?:app|key|sa)_[0-9A-Za-z]{22})",
            r"(?<short>(?:app|key|sa)_[0-9A-Za-z]{1,21}…)",
            r"(?<secret>sk_(?:live|test)_[0-9A-Za-z]{49})",
            r"(?<prefix>sk_(?:live|test)_[0-9A-Za-z]{6})",
            r"(?<time>20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z)",
            r"(?<years>in [0-9]{2} years)",
            r"(?<ago>now|[0-9]+ minutes? ago)",
            r"(?<kid>[A-Za-z0-9_-]{43})",
            r"(?<request>(?-u:\b)[0-9a-f]{32}(?-u:\b))",
        ];
        Regex::new(&kinds.join("|")).expect("regex")
    });
    let mut known = HashMap::new();
    let replaced = VARIES.replace_all(text, |found: &regex::Captures<'_>| {
        if found.name("years").is_some() {
            return "in NN years".to_owned();
        }
        if found.name("ago").is_some() {
            return "now".to_owned();
        }
        if found.name("time").is_some() {
            // The only one that is given is at the beginning of a day.
            return if found[0].contains("T00:00:00Z") {
                found[0].to_owned()
            } else {
                "2026-11-28T12:34:56Z".to_owned()
            };
        }
        if found.name("kid").is_some() {
            return "k".repeat(43);
        }
        if found.name("short").is_some() {
            let (kind, rest) = found[0].split_once('_').expect("a kind");
            return format!("{kind}_{}…", "0".repeat(rest.chars().count() - 1));
        }
        if found.name("request").is_some() {
            return "r".repeat(32);
        }
        let next = known.len() + 1;
        let number: usize = *known.entry(found[0].to_owned()).or_insert(next);
        let begin = found[0].rfind('_').map_or(0, |at| at + 1);
        format!("{}{:0>width$}", &found[0][..begin], number, width = found[0].len() - begin)
    });
    replaced.into_owned()
}

#[test]
fn a_list_of_keys_at_terminals_of_several_widths_and_in_a_pipe() {
    let shop = Shop::open();
    shop.makes("deploy bot", &["--permission", "tasks:read,tasks:write", "--expires", "2100-01-31"]);
    shop.makes("鍵の名前 🇨🇭", &["--permission", "tasks:*", "--label", "team=search"]);
    shop.makes(&"a name that goes on and on ".repeat(4), &["--permission", "a:b"]);
    let off = shop.makes("off", &["--permission", "tasks:read"]);
    shop.piped(&["key", "update", &off, "--disable"]).good();
    let mut shown = String::new();
    for columns in [40, 80, 120, 200] {
        let listed = shop.at(columns, &["key", "list"]);
        assert_eq!(listed.code, Some(0), "{}", listed.text);
        shown += &format!("--- {columns} columns\n{}", listed.text);
    }
    shown += &format!("--- in a pipe\n{}", shop.piped(&["key", "list"]).good());
    insta::assert_snapshot!(alike(&shown));

    let lines = shop.piped(&["key", "list", "--json"]).good();
    let listed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        listed.iter().map(|key| key["name"].as_str().expect("a name").chars().count()).collect::<Vec<_>>(),
        [10, 7, 108, 3]
    );
    let none = shop.piped(&["key", "list", "--unused"]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (Some(0), "", "there are no keys to show\n"));
}

#[test]
fn a_secret_that_could_not_be_written_is_said_to_be_lost_with_how_to_revoke_its_key() {
    let shop = Shop::open();
    for more in [&["--secret-only"][..], &["--json"], &[]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let create = [&["key", "create", "--name", "lost"], more].concat();
        let ended = shop.command(&create).stdout(full).output().expect("started");
        let told = String::from_utf8(ended.stderr).expect("UTF-8");
        assert_eq!(ended.status.code(), Some(1), "{told}");
        let revoke = told.split("`portcullis ").nth(1).and_then(|rest| rest.split('`').next()).expect("a command");
        assert!(revoke.starts_with("key revoke key_"), "{told}");
        shop.piped(&revoke.split(' ').collect::<Vec<_>>()).good();
    }
}

#[test]
fn a_key_from_its_making_to_its_end() {
    let shop = Shop::open();
    let mut shown = String::new();
    let create = [
        "key",
        "create",
        "--name",
        "ci",
        "--permission",
        "tasks:read",
        "--expires",
        "2100-01-31",
        "--quota",
        "10000/day",
    ];
    let made = shop.at(80, &create);
    assert_eq!(made.code, Some(0), "{}", made.text);
    shown += &format!("--- create, at a terminal\n{}", made.text);
    let key = shop.json(&["key", "list"])["key_id"].as_str().expect("an id").to_owned();

    // The secret goes where it can be piped; that it is shown once, beside it.
    let captured = shop.piped(&["key", "create", "--name", "captured", "--secret-only"]);
    let secret = captured.out.trim_end();
    assert!(
        secret.starts_with("sk_live_") && secret.len() == 57 && captured.out.lines().count() == 1,
        "{}",
        captured.out
    );
    assert!(captured.err.contains("shown this once") && !captured.err.contains(secret), "{}", captured.err);
    let json = shop.piped(&["key", "create", "--name", "json", "--json"]);
    assert!(field(&json.out, "secret").starts_with("sk_live_") && json.err.contains("shown this once"));

    // What it does not get, it is told of; and that is what such a key hears.
    let hint = format!(
        "\nhint: the key has no permissions: a VerifyKey with required_permissions answers PERMISSION_MISSING; give it some \
         by `portcullis key update {} --app {} --permission tasks:read`, as many as it needs\n",
        field(&json.out, "key_id"),
        shop.dev.app
    );
    assert!(json.err.ends_with(&hint) && captured.err.contains("\nhint: the key has no permissions"), "{}", json.err);
    assert!(!made.text.contains("no permissions"), "{}", made.text);
    let requires = format!(r#"{{"secret": "{}", "required_permissions": ["tasks:read"]}}"#, field(&json.out, "secret"));
    let verdict = || field(&shop.dev.call(&shop.checkout, "KeyService/VerifyKey", &requires), "verdict");
    assert_eq!(verdict(), "VERDICT_PERMISSION_MISSING");
    let (_, update) = hint.trim_end().split_once("`portcullis ").expect("a command");
    let (update, _) = update.split_once('`').expect("its end");
    shop.piped(&update.split(' ').collect::<Vec<_>>()).good();
    assert_eq!(verdict(), "VERDICT_VALID");

    for (what, arguments) in [
        ("get", &["key", "get", &key][..]),
        ("get by its name, in a pipe", &["key", "get", "ci"]),
        ("update", &["key", "update", "ci", "--clear", "quota", "--description", "two\nlines"]),
        ("rotate", &["key", "rotate", &key, "--overlap", "7d"]),
        ("a wrong flag", &["key", "update", &key, "--label", "Team=x", "--permission", "tasks"]),
    ] {
        let ended = if what.ends_with("pipe") {
            let Ended { out, err, .. } = shop.piped(arguments);
            out + &err
        } else {
            shop.at(80, arguments).text
        };
        shown += &format!("--- {what}\n{ended}");
    }
    insta::assert_snapshot!(alike(&shown));
}

#[test]
fn a_revocation_is_asked_about_and_only_a_yes_is_one() {
    let shop = Shop::open();
    let key = shop.makes("deploy bot", &[]);
    let revoke = shop.command(&["key", "revoke", &key, "--reason", "leaked"]);
    let asked = at_a_terminal(&revoke, 80, &[("[y/N] ", "n\n")]);
    assert_eq!(asked.code, Some(1));
    assert!(asked.text.contains(&format!("Revoke {key} (deploy bot, sk_live_")), "{}", asked.text);
    assert!(asked.text.ends_with("error: not confirmed, so nothing was done\n"), "{}", asked.text);
    assert_eq!(shop.json(&["key", "get", &key])["key"]["state"], "KEY_STATE_ACTIVE");

    let unasked = shop.piped(&["key", "revoke", "deploy bot", "--yes"]).refused(2);
    assert!(unasked.contains("with --yes, give the id") && unasked.contains(&key), "{unasked}");
    let confirmed = at_a_terminal(&revoke, 80, &[("[y/N] ", "y\n")]);
    assert_eq!(confirmed.code, Some(0), "{}", confirmed.text);
    assert!(confirmed.text.contains("is revoked, and refused everywhere"), "{}", confirmed.text);
    assert_eq!(shop.json(&["key", "get", &key])["key"]["revoke_reason"], "REVOKE_REASON_LEAKED");
    // Idempotent.
    shop.piped(&["key", "revoke", &key, "--yes"]).good();

    // An application may say that rotated keys end at once: then that is asked, too.
    shop.piped(&["app", "update", "--overlap", "0s"]).good();
    let key = shop.makes("another", &[]);
    let refused = shop.piped(&["key", "rotate", &key]).refused(2);
    assert!(refused.contains("rotating without an overlap ends the old key at once"), "{refused}");
    shop.piped(&["key", "rotate", &key, "--yes", "--secret-only"]).good();
    assert_eq!(shop.json(&["key", "get", &key])["key"]["state"], "KEY_STATE_REVOKED");
}

#[test]
fn accounts_and_applications_and_what_the_audit_log_says_of_them() {
    let shop = Shop::open();
    let mut shown = String::new();
    let app = shop.json(&[
        "app",
        "create",
        "--name",
        "acme",
        "--plan",
        "enterprise",
        "--rate-limit",
        "login=100/1m",
        "--overlap",
        "36h",
    ]);
    let app = app["application"]["application_id"].as_str().expect("an id");
    let out = shop.checkout.file("gateway.json");
    let out = out.to_str().expect("UTF-8");
    let create = ["account", "create", "--name", "gateway", "--role", "verifier,watcher", "--app", app, "--out", out];
    let made = shop.piped(&create);
    assert!(made.err.starts_with(&format!("wrote {out}: ")), "{}", made.err);
    shown += &format!("--- account create\n{}", made.good());
    let taken = shop.piped(&create).refused(2);
    assert!(taken.contains("is not overwritten"), "{taken}");
    let nowhere = [&create[..create.len() - 1], &["none/gateway.json"]].concat();
    let said = shop.piped(&nowhere).refused(2);
    assert!(said.contains("nothing can be written to the folder none: No such file"), "{said}");
    let account = shop.json(&["audit", "list", "--method", "ServiceAccountService/CreateServiceAccount"]);
    let account = account["resource_id"].as_str().expect("an id");

    // What was written is good, and may no more than it was given.
    let refused = shop.piped(&["key", "list", "--app", app, "--credentials", out]);
    assert!(
        refused.err.contains("reason: ROLE_MISSING") && refused.err.contains("\nhint: an admin can give"),
        "{}",
        refused.err
    );

    for (columns, arguments) in [
        (PIPE, &["app", "list"][..]),
        (80, &["app", "get", app]),
        (80, &["account", "list"]),
        (120, &["account", "update", account, "--name", "gate"]),
        (80, &["account", "disable", account, "--yes"]),
        (PIPE, &["audit", "list", "--limit", "3"]),
        (80, &["audit", "list", "--refused"]),
    ] {
        let ended = if columns == PIPE { shop.piped(arguments).good() } else { shop.at(columns, arguments).text };
        shown += &format!("--- {}\n{ended}", arguments[..2].join(" "));
    }
    insta::assert_snapshot!(alike(&shown));
}
