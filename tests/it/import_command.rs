//! `portcullis import`: the real binary, files, exit codes, and what a kill leaves.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    clients::source,
    harness::{
        dev::{Dev, field},
        import::{sha256, text},
        program::{Checkout, Ended, Process, run},
        session::{Meaning, play, steps_run_by},
    },
};

fn hex(bytes: &[u8]) -> String {
    portcullis::chain::hex(bytes)
}

fn csv(numbers: std::ops::Range<usize>) -> String {
    let mut file = "name,secret_sha256,permissions,prefix\n".to_owned();
    for number in numbers {
        let _ = writeln!(file, "old {number},{},tasks:read,legacy", hex(&sha256(&text(number))));
    }
    file
}

fn write(checkout: &Checkout, name: &str, text: &str) -> PathBuf {
    let path = checkout.file(name);
    fs::write(&path, text).expect("write");
    path
}

fn import(dev: &Dev, checkout: &Checkout, file: &str, more: &[&str]) -> Ended {
    let arguments = [&["import", file, "--app", &dev.app], more].concat();
    run(dev.caller(checkout, &mut checkout.portcullis(&arguments)))
}

fn json(out: &str) -> Value {
    serde_json::from_str(out).expect("JSON")
}

fn verdict(dev: &Dev, checkout: &Checkout, secret: &str) -> String {
    field(&dev.call(checkout, "KeyService/VerifyKey", &format!(r#"{{"secret": "{secret}"}}"#)), "verdict")
}

/// How many keys there are, a thousand at most.
fn keys(dev: &Dev, checkout: &Checkout) -> usize {
    let list = format!(r#"{{"application_id": "{}", "page_size": 1000}}"#, dev.app);
    json(&dev.call(checkout, "KeyService/ListKeys", &list))["keys"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_file_is_checked_imported_and_found_done_when_it_is_run_again() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    write(&checkout, "k.csv", &csv(0..2500));
    let dry = import(&dev, &checkout, "k.csv", &["--dry-run"]).good();
    assert!(dry.starts_with("would import 2500 of 2500 keys, 0 were there already ("), "{dry}");
    assert_eq!(keys(&dev, &checkout), 0);
    let done = import(&dev, &checkout, "k.csv", &[]).good();
    assert!(done.starts_with("imported 2500 of 2500 keys, 0 were there already ("), "{done}");
    assert_eq!(verdict(&dev, &checkout, &text(2499)), "VERDICT_VALID");
    let again = json(&import(&dev, &checkout, "k.csv", &["--json"]).good());
    assert_eq!(
        (&again["rows"], &again["imported"], &again["existing"], &again["left"]),
        (&2500.into(), &0.into(), &2500.into(), &0.into())
    );
    let more = format!(
        "{}\n{}\n",
        serde_json::json!({"sha": hex(&sha256(&text(1))), "name": "old 1", "permissions": ["tasks:read"], "prefix": "legacy", "tenant": 1}),
        serde_json::json!({"sha": hex(&sha256("another text")), "name": "of JSON", "labels": {"from": "json"}, "tenant": 2}),
    );
    write(&checkout, "more.jsonl", &more);
    let done = import(&dev, &checkout, "more.jsonl", &["--hash-column", "sha", "--ignore", "tenant"]).good();
    assert!(done.starts_with("imported 1 of 2 keys, 1 were there already"), "{done}");
    assert_eq!(verdict(&dev, &checkout, "another text".replace(' ', "_").as_str()), "VERDICT_NOT_FOUND");
}

#[test]
fn a_file_that_is_wrong_is_told_by_its_lines_and_nothing_of_it_is_sent() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let secret = "sk_old_0123456789";
    let good = hex(&sha256("good one"));
    let rows = format!("name,secret_sha256\na,{good}\nb,{secret}\nc,$2b$12$abcdefghijk\n,{good}\n");
    write(&checkout, "k.csv", &rows);
    let refused = import(&dev, &checkout, "k.csv", &[]).refused(2);
    assert!(refused.starts_with("k.csv:3: secret_sha256: is no SHA-256"), "{refused}");
    assert!(refused.contains("\nk.csv:4: secret_sha256: is a hash with a salt (bcrypt"), "{refused}");
    assert!(refused.contains("\nk.csv:5: name: is missing\n"), "{refused}");
    assert!(refused.ends_with("error: 3 rows cannot be imported as said above; nothing was sent\n"), "{refused}");
    assert!(!refused.contains(secret), "what may be a secret is not repeated: {refused}");
    let as_json = import(&dev, &checkout, "k.csv", &["--json"]);
    assert_eq!((as_json.code, &json(&as_json.out)["problem_count"]), (Some(2), &3.into()));
    write(&checkout, "texts.csv", &format!("name,api_key\na,{secret}\n"));
    let refused = import(&dev, &checkout, "texts.csv", &[]).refused(2);
    assert!(refused.contains("never read here") && refused.contains("sha256sum"), "{refused}");
    write(&checkout, "twice.csv", &format!("name,secret_sha256\na,{good}\nb,{good}\n"));
    assert!(
        import(&dev, &checkout, "twice.csv", &[])
            .refused(2)
            .starts_with("twice.csv:3: secret_sha256: is that of line 2, too\n")
    );
    write(&checkout, "empty.csv", "name,secret_sha256\n");
    assert!(import(&dev, &checkout, "empty.csv", &[]).refused(2).contains("holds no keys"));
    assert!(import(&dev, &checkout, "nowhere.csv", &[]).refused(2).contains("cannot be read"));
    assert!(import(&dev, &checkout, "k.txt", &[]).refused(2).contains("--format csv"));
    assert_eq!(keys(&dev, &checkout), 0);
}

#[test]
fn rows_that_the_server_refuses_are_told_by_their_lines() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    write(&checkout, "first.csv", &csv(0..1));
    import(&dev, &checkout, "first.csv", &[]).good();
    let mut file = csv(0..3).replace("old 0", "another name");
    let _ = writeln!(file, "wrong,{},no permission,", hex(&sha256("wrong one")));
    write(&checkout, "k.csv", &file);
    // What is wrong in itself is told before what is there is looked for.
    let dry = import(&dev, &checkout, "k.csv", &["--dry-run"]);
    assert_eq!(
        (dry.code, dry.err.lines().next().map(|line| line.starts_with("k.csv:5: permissions[0]: "))),
        (Some(1), Some(true)),
        "{}",
        dry.err
    );
    write(&checkout, "k.csv", &csv(0..3).replace("old 0", "another name"));
    let refused = import(&dev, &checkout, "k.csv", &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.out.starts_with("imported 0 of 3 keys, 0 were there already, 3 are left ("), "{}", refused.out);
    assert!(refused.err.starts_with("k.csv:2: secret_sha256: is the hash of key_"), "{}", refused.err);
    assert!(refused.err.contains("with another name\nerror: the server refused a row; "), "{}", refused.err);
    assert_eq!(keys(&dev, &checkout), 1);
    let gone = run(checkout
        .portcullis(&["import", "k.csv", "--app", &dev.app, "--endpoint", "http://127.0.0.1:1"])
        .env("PORTCULLIS_CREDENTIALS", checkout.file("portcullis-data/admin.json")));
    assert_eq!(gone.code, Some(1), "{}", gone.err);
}

fn started(dev: &Dev, checkout: &Checkout, file: &str) -> Process {
    let arguments = ["import", file, "--app", &dev.app, "--concurrency", "1", "--json"];
    Process::start(dev.caller(checkout, &mut checkout.portcullis(&arguments)))
}

/// Waits until some of the keys are there.
fn begun(dev: &Dev, checkout: &Checkout) {
    let begun = Instant::now();
    while keys(dev, checkout) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is imported");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_was_when_it_is_run_again() {
    const KEYS: usize = 6_000;
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    write(&checkout, "k.csv", &csv(0..KEYS));
    let killed = started(&dev, &checkout, "k.csv");
    begun(&dev, &checkout);
    drop(killed);
    let again = json(&import(&dev, &checkout, "k.csv", &["--json"]).good());
    let (imported, existing) =
        (again["imported"].as_u64().expect("a number"), again["existing"].as_u64().expect("a number"));
    println!("{existing} of {KEYS} were there after the kill");
    assert_eq!(imported + existing, KEYS as u64);
    assert!(existing >= 1000 && imported > 0, "killed in the middle of it: {again}");
    assert_eq!(verdict(&dev, &checkout, &text(KEYS - 1)), "VERDICT_VALID");
}

#[test]
fn ctrl_c_ends_it_at_once_with_what_was_done() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    write(&checkout, "k.csv", &csv(0..6_000));
    let process = started(&dev, &checkout, "k.csv");
    begun(&dev, &checkout);
    process.signal("INT");
    let ended = process.ended();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("interrupted; run it again to go on"), "{}", ended.err);
    assert!(json(&ended.out)["left"].as_u64() > Some(0), "{}", ended.out);
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_waited_for() {
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let (address, app) = (dev.address.clone(), dev.app.clone());
    write(&checkout, "k.csv", &csv(0..4_000));
    let mut process = started(&dev, &checkout, "k.csv");
    begun(&dev, &checkout);
    drop(dev);
    let dev = Dev::start_at(&checkout, &address);
    assert_eq!(dev.app, app);
    let said = process.until(|line| line.starts_with('{'));
    let done = json(said.last().expect("a line"));
    assert_eq!(
        done["imported"].as_u64().expect("a number") + done["existing"].as_u64().expect("a number"),
        4_000,
        "{done}"
    );
    assert_eq!(process.ended().code, Some(0));
}

#[test]
fn keys_that_come_without_permissions_are_counted_and_those_that_inherit_some_are_not() {
    const HINT: &str =
        "hint: keys without permissions: 2; a VerifyKey with required_permissions answers PERMISSION_MISSING";
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    write(&checkout, "k.csv", &csv(0..3).replacen(",tasks:read,", ",,", 2));
    let dry = import(&dev, &checkout, "k.csv", &["--dry-run"]);
    assert!(dry.err.starts_with(HINT) && dry.err.contains("before they are imported"), "{dry:?}");
    let done = import(&dev, &checkout, "k.csv", &["--json"]);
    assert!(done.err.starts_with(HINT) && done.err.lines().count() == 1, "{}", done.err);
    assert!(done.err.contains("`portcullis key update KEY --permission"), "{}", done.err);
    assert_eq!(json(&done.out)["imported"], 3);
    let verdict_on = |number: usize, required: &str| {
        let request = format!(r#"{{"secret": "{}", "required_permissions": [{required}]}}"#, text(number));
        field(&dev.call(&checkout, "KeyService/VerifyKey", &request), "verdict")
    };
    assert_eq!(verdict_on(0, ""), "VERDICT_VALID", "as the hint says, only where something is required");
    assert_eq!(verdict_on(0, r#""tasks:read""#), "VERDICT_PERMISSION_MISSING");
    assert_eq!(verdict_on(2, r#""tasks:read""#), "VERDICT_VALID");

    let out = checkout.file("importer.json").display().to_string();
    let create = ["account", "create", "--name", "importer", "--role", "editor", "--app", &dev.app, "--out", &out];
    let create = [&create[..], &["--grantable", "tasks:*"]].concat();
    run(dev.caller(&checkout, &mut checkout.portcullis(&create))).good();
    write(&checkout, "k.csv", &csv(3..4).replace(",tasks:read,", ",,"));
    let mut by_app = checkout.portcullis(&["import", "k.csv"]);
    dev.caller(&checkout, &mut by_app).env("PORTCULLIS_APP", &dev.app).env("PORTCULLIS_CREDENTIALS", &out);
    let done = run(&mut by_app);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
    assert_eq!(verdict_on(3, r#""tasks:read""#), "VERDICT_VALID");
}

/// Its ```sh run-by=tests/it/import_command.rs blocks, on the files that it shows.
#[test]
fn the_examples_of_the_page_are_of_the_texts_that_it_names_and_can_be_imported() {
    let page = fs::read_to_string(source("docs/import.md")).expect("docs/import.md");
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    for (name, language) in [("keys.csv", "csv"), ("keys.jsonl", "json")] {
        let (_, behind) = page.split_once(&format!("```{language}\n")).expect("an example");
        write(&checkout, name, behind.split("```").next().expect("its end"));
    }
    let steps = steps_run_by("tests/it/import_command.rs", &page);
    assert_eq!(steps.len(), 2);
    let mut shell = checkout.command("sh");
    let path = format!("{}:{}", checkout.file("target/release").display(), std::env::var("PATH").expect("PATH"));
    dev.caller(&checkout, &mut shell).env("PORTCULLIS_APP", &dev.app).env("PATH", path);
    let mut meaning = Meaning::default();
    play(&steps, &mut shell, str::to_owned, &mut meaning);
    let hashes = steps[0].output.as_ref().expect("what it prints");
    assert_eq!(&meaning.translate(hashes), hashes, "a digest is no other at another run");

    let done = import(&dev, &checkout, "keys.jsonl", &[]);
    assert!(done.out.starts_with("imported 1 of 1 keys") && done.err.is_empty(), "{done:?}");
    let texts: Vec<_> = steps[0].command.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(texts.len(), 2);
    for text in texts {
        assert_eq!(verdict(&dev, &checkout, text), "VERDICT_VALID", "{text}");
    }
}
