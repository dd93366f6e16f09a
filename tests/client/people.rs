//! The commands for people against a server that answers what no good one would.

use std::{fs, io::Write as _, process::Stdio};

use portcullis::pb;
use prost::Message as _;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    raw_server::{Proved, RawServer},
    support::{Caller, Ended, portcullis, run},
    terminal::at_a_terminal,
};

fn start() -> (RawServer, Caller) {
    let server = RawServer::start();
    let caller = Caller::new(Some(server.endpoint()));
    (server, caller)
}

#[test]
fn what_is_not_known_to_be_done_is_asked_again_with_the_same_id_and_another_signature() {
    let (server, caller) = start();
    let created = run(&mut caller.command(&["key", "create", "--app", "app_1", "--name", "away"]));
    assert_eq!((created.code, created.out.as_str()), (Some(1), ""));
    let seen = server.seen();
    assert_eq!(seen.len(), 4, "a bounded number of attempts");
    let ids: Vec<_> = seen
        .iter()
        .map(|call| pb::CreateKeyRequest::decode(call.message.clone()).expect("a request").request_id)
        .collect();
    assert!(ids[0].len() == 36 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let nonces: std::collections::HashSet<_> = seen
        .iter()
        .map(|call| match call.proved(caller.credentials.public_key()) {
            Proved::SignedRequest { nonce } => nonce,
            proved => panic!("{proved:?}"),
        })
        .collect();
    assert_eq!(nonces.len(), 4);
    let err = created.err;
    assert!(err.starts_with("it may have been written; asking again in 250ms, attempt 2 of 4\n"), "{err}");
    assert!(err.contains("\n  reason: COMMIT_UNKNOWN\n") && err.matches("\nhint: ").count() == 1, "{err}");
    assert!(err.contains(&format!("\nhint: the same command with --request-id {} goes on", ids[0])), "{err}");

    let again = ["key", "create", "--app", "app_1", "--name", "x", "--secret-only", "--request-id", &ids[0]];
    let made = run(&mut caller.command(&again));
    assert_eq!((made.code, made.out.as_str()), (Some(0), "sk_s\n"), "{}", made.err);
    let [call] = &server.seen()[..] else { panic!("one call") };
    assert_eq!(pb::CreateKeyRequest::decode(call.message.clone()).expect("a request").request_id, ids[0]);
}

#[test]
fn no_escape_sequence_of_anybody_reaches_a_terminal() {
    let (_server, caller) = start();
    let hostile = |shown: &str| {
        let bare = shown.replace('\n', "").replace("\u{fffd}", "");
        assert!(!bare.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
    };
    for columns in [20, 40, 80, 200] {
        let command = caller.command(&["key", "list", "--app", "app_1", "--color", "never"]);
        let listed = at_a_terminal(&command, columns, &[]);
        assert_eq!(listed.code, Some(0), "{}", listed.text);
        hostile(&listed.text);
        assert!(listed.text.lines().all(|line| line.width() <= columns.into()), "{}", listed.text);
        assert_eq!(listed.text.lines().count(), 4, "a line each: {}", listed.text);
    }
    let json = at_a_terminal(&caller.command(&["key", "list", "--app", "app_1", "--json"]), 80, &[]);
    hostile(&json.text);
    let first: serde_json::Value = serde_json::from_str(json.text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["name"], "\u{1b}[2J\u{9b}31mred\u{202e}\u{7f}", "and is all there");
    let called = run(&mut caller.command(&["call", "KeyService/ListKeys"])).out;
    hostile(&called);
    let refused = run(&mut caller.command(&["key", "list", "--app", "hostile"]));
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    hostile(&refused.err);
}

#[test]
fn colours_are_for_terminals_and_for_who_wants_them() {
    let (_server, caller) = start();
    let list = ["key", "list", "--app", "app_1"];
    let coloured = |shown: &str| shown.contains("\u{1b}[");
    let with = |more: &[&str]| caller.command(&[&list, more].concat());
    assert!(coloured(&at_a_terminal(&with(&[]), 80, &[]).text));
    assert!(!coloured(&at_a_terminal(with(&[]).env("NO_COLOR", "1"), 80, &[]).text));
    assert!(!coloured(&at_a_terminal(with(&["--color", "never"]).env("CLICOLOR_FORCE", "1"), 80, &[]).text));
    assert!(coloured(&at_a_terminal(with(&["--color", "always"]).env("NO_COLOR", "1"), 80, &[]).text));
    assert!(!coloured(&run(&mut with(&[])).out));
    assert!(coloured(&run(with(&[]).env("CLICOLOR_FORCE", "1")).out));
    assert!(!coloured(&run(with(&[]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")).out));
    assert!(coloured(&run(&mut with(&["--color", "always"])).out));
}

#[test]
fn a_list_goes_through_all_pages_and_stops_where_it_is_told() {
    let (server, caller) = start();
    let list = |more: &[&str]| run(&mut caller.command(&[&["key", "list", "--app", "pages", "--json"], more].concat()));
    let all = list(&[]);
    assert_eq!((all.code, all.out.lines().count(), all.err.as_str()), (Some(0), 2500, ""));
    assert_eq!(server.seen().len(), 3);
    let some = list(&["--limit", "1200"]);
    assert_eq!((some.code, some.out.lines().count()), (Some(0), 1200));
    let asked: Vec<_> = server
        .seen()
        .iter()
        .map(|call| pb::ListKeysRequest::decode(call.message.clone()).expect("a request").page_size)
        .collect();
    assert_eq!(asked, [1000, 200]);
    let endless = run(&mut caller.command(&["key", "list", "--app", "endless", "--json"]));
    assert_eq!(endless.code, Some(1));
    assert!(endless.err.contains("does not go on"), "{}", endless.err);
}

#[test]
fn a_watch_goes_on_where_it_was() {
    let (server, caller) = start();
    let watched = run(&mut caller.command(&["key", "watch", "--app", "end", "--bookmarks", "--max-messages", "4"]));
    assert_eq!((watched.code, watched.err.as_str()), (Some(0), ""));
    assert_eq!(watched.out.lines().count(), 4, "{}", watched.out);
    let tokens: Vec<_> = server
        .seen()
        .iter()
        .map(|call| pb::WatchRevocationsRequest::decode(call.message.clone()).expect("a request").resume_token)
        .collect();
    assert_eq!(tokens, ["", "place-2"]);
    let failed = run(&mut caller.command(&["key", "watch", "--app", "fail"]));
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
    assert!(failed.err.starts_with("error: OUT_OF_RANGE: too old\n"), "{}", failed.err);
}

#[test]
fn what_cannot_be_undone_is_not_done_without_a_word() {
    let (server, caller) = start();
    for (arguments, what) in [
        (&["key", "revoke", "key_1", "--app", "app_1"][..], "revoking a key cannot be undone"),
        (&["key", "rotate", "key_1", "--app", "app_1", "--overlap", "0s"], "rotating without an overlap"),
        (&["account", "disable", "sa_1"], "disabling an account"),
        (&["account", "remove-key", "sa_1", "kid_1"], "removing a key cannot be undone"),
    ] {
        let refused = run(&mut caller.command(arguments));
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.err.contains(what) && refused.err.contains("say --yes"), "{}", refused.err);
        assert!(server.seen().is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_text_of_a_key_is_not_taken_from_an_argument_and_not_shown_again() {
    let (server, caller) = start();
    let secret = "sk_live_ad7ktsUluj1GQkzBBp45JpJt7fdGnmnnimwJrrdl8KC0GqRcc";
    for arguments in [
        &["key", "verify", secret][..],
        &["key", "get", secret, "--app", "app_1"],
        &["key", "revoke", secret, "--app", "app_1"],
    ] {
        let refused = run(&mut caller.command(arguments));
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
        assert!(refused.err.contains("list of processes") && !refused.err.contains("ad7kts"), "{}", refused.err);
    }
    assert!(server.seen().is_empty());

    let verify = |text: &str| -> Ended {
        let mut command = caller.command(&["key", "verify", "--json"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start");
        child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("write");
        child.wait_with_output().expect("end").into()
    };
    assert_eq!(verify(&format!("{secret}\n")).code, Some(1), "an empty verdict is not VALID");
    let [call] = &server.seen()[..] else { panic!("one call") };
    let request = pb::VerifyKeyRequest::decode(call.message.clone()).expect("a request");
    assert_eq!(request.subject, Some(pb::verify_key_request::Subject::Secret(secret.to_owned())));
    let none = verify("\n");
    assert_eq!((none.code, none.err.as_str()), (Some(2), "error: no secret: standard input is empty\n"));
}

#[test]
fn a_secret_that_is_typed_is_not_shown() {
    let (server, caller) = start();
    let asked =
        at_a_terminal(&caller.command(&["key", "verify"]), 80, &[("secret (it is not shown): ", "sk_live_typed\n")]);
    assert_eq!(asked.code, Some(1));
    assert!(!asked.text.contains("sk_live_typed"), "{}", asked.text);
    let [call] = &server.seen()[..] else { panic!("one call") };
    let request = pb::VerifyKeyRequest::decode(call.message.clone()).expect("a request");
    assert_eq!(request.subject, Some(pb::verify_key_request::Subject::Secret("sk_live_typed".to_owned())));
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_look_at() {
    let caller = Caller::new(Some("http://127.0.0.1:9".to_owned()));
    let failed = run(&mut caller.command(&["key", "list", "--app", "app_1"]));
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
    assert!(failed.err.starts_with("error: cannot connect to http://127.0.0.1:9: "), "{}", failed.err);
    assert!(failed.err.contains("\nhint: is the server running"), "{}", failed.err);
    let without = run(&mut caller.command(&["key", "list"]));
    assert_eq!(without.code, Some(2));
    assert!(without.err.contains("give --app APP, or set PORTCULLIS_APP"), "{}", without.err);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&mut portcullis(&["completions", shell]));
        assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
        for word in ["revoke", "rotate", "overlap", "checkpoint"] {
            assert!(script.out.contains(word), "{shell}: {word}");
        }
    }
    let folder = tempfile::tempdir().expect("folder");
    let out = folder.path().join("man1");
    let written = run(&mut portcullis(&["man", "--out", out.to_str().expect("UTF-8")]));
    assert_eq!(written.code, Some(0), "{}", written.err);
    let page = fs::read_to_string(out.join("portcullis-key-rotate.1")).expect("a page");
    assert!(page.contains(".TH") && page.contains("overlap"), "{page}");
}
