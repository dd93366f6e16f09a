//! Settings, by a flag, a variable and a file: all that is wrong is said at once, and where it stands.

use std::{any::TypeId, collections::BTreeMap, ffi::OsString, fs, path::PathBuf};

use clap::{Arg, Command, CommandFactory as _};
use portcullis::cli::Cli;
use secrecy::SecretString;

use crate::{
    clients::source,
    harness::program::{Checkout, Ended, run},
};

/// What no parser takes that is not for texts; and what those of texts refuse.
const WRONG: &str = "no such value";
const WRONG_TEXTS: &[(&str, &str)] = &[
    ("database-url", "mysql://root:hunter2@h/d"),
    ("audience", "a b"),
    ("token-audience", "a b"),
    ("otlp-headers", "hunter2"),
];
/// Not to be repeated.
const SECRET: &[&str] = &["database-url", "otlp-headers"];

fn serve() -> Command {
    Cli::command().find_subcommand("serve").expect("serve").clone()
}

fn settings(command: &Command) -> Vec<&Arg> {
    let is_setting = |arg: &&Arg| arg.get_env().is_some() && arg.get_id() != "config";
    command.get_arguments().filter(is_setting).collect()
}

/// A wrong value for each setting that can have one: any path may be one, and so may any password.
fn wrong(command: &Command) -> BTreeMap<String, (String, OsString)> {
    let mut wrong = BTreeMap::new();
    for arg in settings(command) {
        let name = arg.get_long().expect("a flag").to_owned();
        let listed = WRONG_TEXTS.iter().find(|(listed, _)| *listed == name).map(|(_, value)| *value);
        let kind = arg.get_value_parser().type_id();
        let takes_all = [TypeId::of::<PathBuf>(), TypeId::of::<String>(), TypeId::of::<SecretString>()];
        if listed.is_none() && takes_all.iter().any(|all| kind == *all) {
            continue;
        }
        let variable = arg.get_env().expect("a variable").to_owned();
        wrong.insert(name, (listed.unwrap_or(WRONG).to_owned(), variable));
    }
    wrong
}

fn are_all_said(ended: Ended, wrong: &BTreeMap<String, (String, OsString)>, from: impl Fn(usize, &str) -> String) {
    let said = ended.refused(2);
    assert!(said.starts_with(&format!("error: {} settings are wrong:\n", wrong.len())), "{said}");
    for (at, (name, (value, _))) in wrong.iter().enumerate() {
        let value = if SECRET.contains(&name.as_str()) { String::new() } else { format!(" = {value:?}") };
        let line = format!("  {name}{value} ({}): ", from(at, name));
        let why = said.lines().find_map(|said| said.strip_prefix(&line)).unwrap_or_else(|| panic!("{line}\n{said}"));
        assert!(!why.trim().is_empty(), "{line}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn each_wrong_setting_is_said_at_once_whether_by_a_flag_a_variable_or_the_file() {
    let checkout = Checkout::new();
    let serve = serve();
    let wrong = wrong(&serve);
    assert!(wrong.len() > 15, "{:?}", wrong.keys());

    let mut by_flag = checkout.portcullis(&["serve"]);
    by_flag.args(wrong.iter().map(|(name, (value, _))| format!("--{name}={value}")));
    are_all_said(run(&mut by_flag), &wrong, |_, name| format!("--{name}"));

    let mut by_variable = checkout.portcullis(&["serve"]);
    by_variable.envs(wrong.values().map(|(value, variable)| (variable, value)));
    let variable = |name: &str| wrong[name].1.to_string_lossy().into_owned();
    are_all_said(run(&mut by_variable), &wrong, |_, name| variable(name));

    let lines: String = wrong.iter().map(|(name, (value, _))| format!("{name} = {value:?}\n")).collect();
    fs::write(checkout.file("settings.toml"), lines).expect("write");
    let by_file = checkout.run(&["serve", "--config", "settings.toml"]);
    // A switch is no text.
    are_all_said(by_file_shown(by_file, &wrong, &serve), &wrong, |at, _| format!("settings.toml:{}", at + 1));
}

/// As the other two say it: of a switch in the file the type is wrong already, and no value is shown.
fn by_file_shown(ended: Ended, wrong: &BTreeMap<String, (String, OsString)>, serve: &Command) -> Ended {
    let mut err = ended.err.clone();
    for arg in settings(serve).into_iter().filter(|arg| !arg.get_action().takes_values()) {
        let name = arg.get_long().expect("a flag");
        err = err.replace(&format!("  {name} ("), &format!("  {name} = {:?} (", wrong[name].0));
    }
    Ended { err, ..ended }
}

/// What `check` says of the address to listen on.
fn listens(checkout: &Checkout, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = checkout.portcullis(&[&["check", "--database-url=sqlite://none.db"], arguments].concat());
    let said = run(command.envs(variables.iter().copied())).out;
    said.lines().find_map(|line| line.strip_prefix("ok    listening")).expect("the address").trim().to_owned()
}

#[test]
fn a_flag_comes_before_its_variable_and_that_before_the_file_and_that_before_the_default() {
    let checkout = Checkout::new();
    let of = |port: u16| format!("127.0.0.1:{port} without TLS, on this machine only");
    let (file, variable) = (["--config=a.toml"], [("PORTCULLIS_LISTEN", "127.0.0.1:2002")]);
    fs::write(checkout.file("a.toml"), "# for this machine\nlisten = \"127.0.0.1:2001\"\n").expect("write");
    assert_eq!(listens(&checkout, &[], &[]), of(50051));
    assert_eq!(listens(&checkout, &file, &[]), of(2001));
    assert_eq!(listens(&checkout, &[], &[("PORTCULLIS_CONFIG", "a.toml")]), of(2001));
    assert_eq!(listens(&checkout, &file, &variable), of(2002));
    assert_eq!(listens(&checkout, &["--listen=127.0.0.1:2003", file[0]], &variable), of(2003));
}

#[test]
fn a_variable_that_is_misspelt_is_not_passed_over() {
    let checkout = Checkout::new();
    let mut serve = checkout.portcullis(&["serve", "--database-url=sqlite://none.db"]);
    let said = run(serve.env("PORTCULLIS_MAX_WACTHES", "5").env("PORTCULLIS_SERVICE_HOST", "10.0.0.1")).refused(2);
    assert_eq!(
        said,
        "error: 2 settings are wrong:\n\
         \x20 PORTCULLIS_MAX_WACTHES (the environment): there is no such variable; did you mean PORTCULLIS_MAX_WATCHES?\n\
         \x20 there is no database at none.db; make it with `portcullis migrate`\n"
    );
}

#[test]
fn a_file_of_settings_says_each_line_that_is_wrong_and_what_was_meant() {
    let checkout = Checkout::new();
    let of = |text: &str| {
        fs::write(checkout.file("a.toml"), text).expect("write");
        checkout.run(&["serve", "--config=a.toml"]).refused(2)
    };
    let url = "database-url = \"sqlite://none.db\"\n";
    let said = of(&format!(
        "{url}\nlaese = \"5s\"\nno-doorbell = \"yes\"\nlisten = [\"127.0.0.1:1\"]\nmax-watches = {{ a = 1 }}\nlease = true\nmax_watches = 5\n\n[server]\nlog = \"info\"\n"
    ));
    assert_eq!(
        said,
        "error: 8 settings are wrong:\n\
         \x20 laese (a.toml:3): there is no such setting; did you mean lease?\n\
         \x20 max-watches (a.toml:6): must be a text, a number, true or false, or a list of texts\n\
         \x20 max_watches (a.toml:8): there is no such setting; did you mean max-watches?\n\
         \x20 server (a.toml:10): the file is one table, without headings in brackets\n\
         \x20 listen (a.toml:5): takes one value, not a list\n\
         \x20 lease (a.toml:7): must be a text or a number, not true or false\n\
         \x20 no-doorbell (a.toml:4): must be true or false\n\
         \x20 there is no database at none.db; make it with `portcullis migrate`\n"
    );
    let said = of(&format!("{url}lease = \"5s\"\nlease = \"6s\"\n"));
    assert!(said.starts_with("error: a setting is wrong:\n  config (a.toml:3): duplicate key"), "{said}");
    let said = of(&format!("{url}lease = 5s\n"));
    assert!(said.starts_with("error: a setting is wrong:\n  config (a.toml:2): "), "{said}");
    let said = checkout.run(&["serve", "--config=none.toml"]).refused(2);
    assert!(said.starts_with("error: a setting is wrong:\n  config (none.toml): cannot be read: "), "{said}");
    // What only another command knows is for that one; and a list is for what takes one.
    let good = format!("{url}lease = \"5s\"\nno-doorbell = false\nwebhook-allow = [\"10.0.0.0/8\", \"10.1.0.0/16\"]\n");
    fs::write(checkout.file("a.toml"), good).expect("write");
    let said = checkout.run(&["serve", "--config=a.toml"]).refused(1);
    assert!(said.contains("there is no database at none.db"), "{said}");
    assert!(checkout.run(&["migrate", "--config=a.toml"]).good().ends_with("migrations applied\n"));
}

#[test]
fn what_does_not_go_together_and_what_files_do_not_hold_is_said_at_once_and_with_the_rest() {
    let checkout = Checkout::new();
    for (name, text) in [("empty.pem", ""), ("secrets.key", "c2hvcnQ=\n")] {
        fs::write(checkout.file(name), text).expect("write");
    }
    // What is wrong by itself hides neither what goes together nor what the good ones name.
    let file = "lease = \"1h\"\nsmtp-url = \"smtp://m.example.com\"\nwebhook-ca = \"empty.pem\"\nsecrets-key-file = \"secrets.key\"\n";
    fs::write(checkout.file("a.toml"), file).expect("write");
    let mut serve =
        checkout.portcullis(&["serve", "--config=a.toml", "--tls-cert=empty.pem", "--tls-require-client-cert"]);
    let variables = [("PORTCULLIS_PLAINTEXT_BEYOND_LOOPBACK", "true"), ("PORTCULLIS_LISTEN", "0.0.0.0:1")];
    let said = run(serve.envs(variables)).refused(2);
    assert_eq!(
        said,
        "error: 8 settings are wrong:\n\
         \x20 database-url (--database-url or PORTCULLIS_DATABASE_URL): must be set, for example to \
         sqlite:///var/lib/portcullis/portcullis.db, or to postgres://USER:PASSWORD@HOST/DATABASE\n\
         \x20 lease = \"1h\" (a.toml:1): must be 2s to 1m\n\
         \x20 tls-cert (--tls-cert): needs --tls-key\n\
         \x20 tls-require-client-cert (--tls-require-client-cert): needs --tls-client-ca\n\
         \x20 plaintext-beyond-loopback (PORTCULLIS_PLAINTEXT_BEYOND_LOOPBACK): does not go together with --tls-cert\n\
         \x20 smtp-url (a.toml:2): needs --smtp-from\n\
         \x20 line 1 of the secrets key file is not 32 bytes in base64; make one with: openssl rand -base64 32\n\
         \x20 empty.pem holds no certificate in PEM\n"
    );

    // What nothing would be done with.
    for setting in ["smtp-from=a@example.com", "smtp-password-file=word", "smtp-ca=ca.pem", "smtp-password=word"] {
        let said = checkout.run(&["serve", "--database-url=sqlite://none.db", &format!("--{setting}")]).refused(2);
        let (name, _) = setting.split_once('=').expect("a value");
        assert!(said.contains(&format!("{name} (--{name}): needs --smtp-url")), "{said}");
    }

    // What is right by itself, and names what is not there.
    let names = [
        "--database-url=sqlite://none.db",
        "--tls-cert=none.pem",
        "--tls-key=none.key",
        "--tls-client-ca=empty.pem",
        "--secrets-key-file=none.txt",
        "--smtp-url=smtp://u@m.example.com:587",
        "--smtp-from=a@example.com",
        "--smtp-password-file=none.word",
    ];
    let said = checkout.run(&[&["serve"], &names[..]].concat()).refused(2);
    let lines: Vec<_> = said.lines().collect();
    let begin = [
        "error: 6 settings are wrong:",
        "  cannot read none.pem: ",
        "  cannot read none.key: ",
        "  empty.pem holds no certificate in PEM: it is empty; --tls-client-ca wants ",
        "  cannot read the secrets key file none.txt: ",
        "  cannot read none.word: ",
        "  there is no database at none.db; make it with `portcullis migrate`",
    ];
    assert!(
        lines.len() == begin.len() && lines.iter().zip(begin).all(|(line, begin)| line.starts_with(begin)),
        "{said}"
    );
    let found = checkout.run(&[&["check"], &names[..]].concat());
    assert_eq!(found.code, Some(2));
    for what in ["none.pem", "none.key", "empty.pem", "none.txt", "none.word", "none.db"] {
        assert_eq!(found.out.matches(what).count(), 1, "{what} is told once: {}", found.out);
    }
    assert_eq!(found.out.matches("portcullis migrate").count(), 1, "so is what to do: {}", found.out);
}

#[test]
fn a_stop_takes_as_long_as_the_chart_can_wait_for_and_no_longer() {
    let checkout = Checkout::new();
    let of = |drain: &str| checkout.run(&["serve", "--database-url=sqlite://none.db", &format!("--drain={drain}")]).err;
    let chart = fs::read_to_string(source("helm/portcullis/values.schema.json")).expect("the chart's schema");
    let chart: serde_json::Value = serde_json::from_str(&chart).expect("JSON");
    let longest = chart["properties"]["drainSeconds"]["maximum"].as_u64().expect("a bound");
    for good in ["0s", "1h", &format!("{longest}s")] {
        assert!(of(good).starts_with("error: there is no database"), "{good}: {}", of(good));
    }
    for wrong in ["5", "3601s", "500000h", "99999999999999999999h", "soon"] {
        let said = format!("\n  drain = {wrong:?} (--drain): must be 0s to 1h\n");
        assert!(of(wrong).contains(&said), "{wrong}: {}", of(wrong));
    }
}
