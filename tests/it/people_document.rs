//! The session of docs/commands.md is run.

use std::{fs, sync::LazyLock};

use regex::Regex;

use crate::{
    clients::source,
    harness::{
        dev::Dev,
        program::Checkout,
        session::{self, Meaning, play},
    },
};

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| fs::read_to_string(source("docs/commands.md")).expect("docs/commands.md"));

#[test]
fn its_session_is_what_the_program_prints() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let steps = session::steps(&DOCUMENT);
    let mut shell = checkout.command("sh");
    let bin = checkout.file("target/release");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let here = |text: &str| text.replace("127.0.0.1:50051", &dev.address);
    play(&steps, dev.caller(&checkout, &mut shell).env("PATH", path), here, &mut Meaning::default());
    assert!(steps.len() > 15, "{}", steps.len());
}

#[test]
fn its_flags_exist() {
    let checkout = Checkout::new();
    let mut helps = String::new();
    for group in ["key", "app", "account", "audit"] {
        let listed = checkout.run(&[group, "--help"]).good();
        let (_, commands) = listed.split_once("Commands:\n").expect("commands");
        for command in commands.lines().take_while(|line| !line.is_empty()) {
            let command = command.split_whitespace().next().expect("a command");
            helps += &if command == "help" { String::new() } else { checkout.run(&[group, command, "--help"]).good() };
        }
    }
    for flag in Regex::new("--[a-z][a-z-]+").expect("regex").find_iter(&DOCUMENT) {
        assert!(helps.contains(flag.as_str()) || flag.as_str() == "--out", "{}", flag.as_str());
    }
}
