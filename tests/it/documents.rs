//! The pages that a user reads first are run as one session: their ```console blocks and their
//! ```sh run-by=tests/it/documents.rs blocks. Their tables are held against the protos and the source.

use std::{collections::BTreeSet, fs, sync::LazyLock};

use clap::CommandFactory as _;
use portcullis::{
    auth::{Credential, METHODS},
    cli::Cli,
    domain::{
        key::{KeyEnvironment, KeyType},
        secret::{KeyPrefix, PlainKey, SecretHash},
    },
    grpc::Ceilings,
    signing::Signed,
};
use regex::Regex;

use crate::{
    clients::source,
    harness::{
        Rows, Server, Setup,
        dev::Dev,
        program::{Checkout, tool},
        session::{self, Meaning, play},
    },
};

/// In the order in which they are played: each goes on with what those before it made.
const SESSION: [&str; 12] = [
    "docs/first-session.md",
    "docs/keys.md",
    "docs/signing.md",
    "docs/limits.md",
    "docs/verdicts.md",
    "docs/usage.md",
    "docs/rotation.md",
    "docs/expiry.md",
    "docs/watchfulness.md",
    "docs/leaks.md",
    "docs/webhooks.md",
    "docs/audit.md",
];

/// What else names flags, files and tests.
const OTHERS: [&str; 6] =
    ["README.md", "docs/callers.md", "docs/contributing.md", "docs/errors.md", "docs/install.md", "docs/promises.md"];

fn read(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn their_session_is_what_the_program_prints() {
    let grpcurl = tool("PORTCULLIS_TEST_GRPCURL");
    let pages = SESSION.iter().map(|path| session::steps_run_by("tests/it/documents.rs", &read(path)));
    let mut steps: Vec<_> = pages.flatten().collect();
    let start = steps.remove(0);
    assert_eq!(start.command, "cargo run --release -- dev");
    if grpcurl.is_none() {
        steps.truncate(steps.iter().position(|step| step.command.contains("grpcurl")).expect("grpcurl"));
    }

    let checkout = Checkout::new();
    let mut dev = Dev::start(&checkout);
    let folder = checkout.path().to_str().expect("UTF-8").to_owned();
    let here = |text: &str| text.replace("/home/you/portcullis", &folder).replace("127.0.0.1:50051", &dev.address);
    let mut meaning = Meaning::default();
    let shown = start.output.expect("what it prints");
    meaning.check(&start.command, &here(&shown), &format!("{}\n", dev.said.join("\n")));

    let mut shell = checkout.command("sh");
    if let Some(folder) = grpcurl.as_ref().and_then(|program| program.parent()) {
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("PATH"));
        shell.env("PATH", path);
    }
    play(&steps, &mut shell, here, &mut meaning);
    dev.process.until(|line| line.starts_with("  revision 4: key_") && line.ends_with(" REVOKED"));
}

/// The cells of the rows of a page's table, without the backticks of the first.
fn rows(page: &str) -> Vec<Vec<String>> {
    let page = read(page);
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect()
}

/// The values of an enum, each with the comment above it.
fn values(proto: &str, name: &str, prefix: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(source(proto)).expect("proto");
    let (_, body) = text.split_once(&format!("enum {name} {{\n")).expect("the enum");
    let (mut values, mut comment) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(more) = line.strip_prefix("// ") {
            comment += more;
        } else if let Some((value, _)) = line.split_once(" = ") {
            let value = value.strip_prefix(prefix).expect("the prefix").to_owned();
            values.push((value, std::mem::take(&mut comment)));
        }
    }
    values.retain(|(value, _)| value != "UNSPECIFIED");
    values
}

#[test]
fn the_table_of_methods_is_that_of_the_protos() {
    let documented: Vec<_> = rows("docs/callers.md");
    let table = METHODS.iter().map(|method| {
        let proof = match method.credential {
            Credential::SignedRequest => "signed",
            Credential::SignedRequestOrToken => "signed or token",
        };
        let roles: Vec<_> = method.roles.iter().map(|role| role.name()).collect();
        let roles = if method.any_caller { "any".to_owned() } else { roles.join(", ") };
        vec![method.name().trim_start_matches("portcullis.v1.").to_owned(), proof.to_owned(), roles]
    });
    assert_eq!(documented, table.collect::<Vec<_>>());
}

#[test]
fn the_table_of_errors_has_each_reason_and_its_code() {
    let documented: Vec<_> = rows("docs/errors.md").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let reasons = values("proto/portcullis/v1/error_reason.proto", "ErrorReason", "ERROR_REASON_");
    let code = |comment: &str| comment.split('.').next().unwrap_or_default().to_owned();
    let reasons: Vec<_> = reasons.into_iter().map(|(reason, comment)| (reason, code(&comment))).collect();
    assert_eq!(documented, reasons);
}

#[test]
fn the_table_of_verdicts_has_each_with_its_status() {
    let documented: Vec<_> = rows("docs/verdicts.md").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let mut status = "200";
    let verdicts = values("proto/portcullis/v1/key_service.proto", "Verdict", "VERDICT_").into_iter();
    // A comment in the proto says from which value on another status holds.
    let verdicts = verdicts.map(|(verdict, comment)| {
        status =
            ["401", "403", "429"].into_iter().find(|code| comment.contains(&format!("HTTP {code}"))).unwrap_or(status);
        (verdict, status.to_owned())
    });
    assert_eq!(documented, verdicts.collect::<Vec<_>>());
}

#[test]
fn the_regex_finds_every_key() {
    let page = read("docs/keys.md");
    let (_, rest) = page.split_once("```text\n").expect("the regex");
    let regex = Regex::new(&format!("^{}$", rest.lines().next().expect("a line"))).expect("regex");
    for first in [None, Some(KeyPrefix::parse("a0bcdefghijklmno").expect("prefix"))] {
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let key = PlainKey::make(first.as_ref(), KeyType::Secret, environment, rand::random::<[u8; 32]>().into());
            assert!(regex.is_match(&key.reveal()));
        }
    }
    let example = page.split('`').find(|text| text.starts_with("sk_live_")).expect("an example");
    assert!(regex.is_match(example) && SecretHash::of_presented(example).is_ok());
}

#[test]
fn the_example_of_a_signed_text_is_what_the_server_makes() {
    let steps = session::steps(&read("docs/signing.md"));
    let lines = steps.iter().find(|step| step.command.starts_with("cat >lines")).expect("the example");
    let lines: Vec<_> = lines.command.lines().skip(1).filter(|line| *line != "END").collect();
    let [_, audience, _, path, timestamp, nonce, kid, _] = lines[..] else { panic!("eight lines: {lines:?}") };
    let message = b"\x0a\x1aapp_0000000000000000000001\x12\x1akey_0000000000000000000002";
    let text = Signed { audience, path, timestamp, nonce, kid, message }.text();
    assert_eq!(text, format!("{}\n", lines.join("\n")));
}

#[test]
fn the_tests_that_the_promises_cite_exist() {
    let test = Regex::new("`([a-z_]+)::([a-z0-9_]+)`").expect("regex");
    let mut cited = 0;
    for found in test.captures_iter(&read("docs/promises.md")) {
        let file = fs::read_to_string(source(&format!("tests/it/{}.rs", &found[1]))).expect(&found[0]);
        assert!(file.contains(&format!("fn {}()", &found[2])), "{}", &found[0]);
        cited += 1;
    }
    assert!(cited > 100, "{cited}");
}

#[test]
fn the_files_that_they_name_exist() {
    let path = Regex::new(r"`((?:src|tests|proto|helm|migrations|docs)/[A-Za-z0-9_./-]+|[A-Z]+\.md)`").expect("regex");
    let mut named = 0;
    for page in SESSION.iter().chain(&OTHERS) {
        for found in path.captures_iter(&read(page)) {
            // How a block names the test that runs it.
            if !found[1].ends_with("/FILE.rs") {
                assert!(fs::exists(source(&found[1])).expect("stat"), "{page}: {}", &found[1]);
                named += 1;
            }
        }
    }
    assert!(named > 10, "{named}");
}

/// Flags of cargo and of what else the pages call.
const NOT_OURS: [&str; 6] = ["--bench", "--example", "--locked", "--path", "--release", "--test"];

#[test]
fn the_flags_that_they_name_exist() {
    fn collect(command: &clap::Command, all: &mut BTreeSet<String>) {
        all.extend(command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
        command.get_subcommands().for_each(|under| collect(under, all));
    }
    let mut known: BTreeSet<_> = NOT_OURS.map(str::to_owned).into();
    let mut program = Cli::command();
    program.build();
    collect(&program, &mut known);
    // What is measured has flags of its own.
    let (described, _) = POSTGRESQL.split_once("\n## Measured\n").expect("what was measured");
    let pages = SESSION.iter().chain(&OTHERS).map(|path| (*path, read(path)));
    let pages = pages.chain([("docs/postgresql.md", described.to_owned())]);
    let flags = Regex::new("(?:^|[ `(|])(--[a-z][a-z-]+)").expect("regex");
    let mut named = 0;
    for (page, text) in pages {
        for flag in flags.captures_iter(&text) {
            assert!(known.contains(&flag[1]), "{page}: {}", &flag[1]);
            named += 1;
        }
    }
    assert!(named > 100, "{named}");
}

static POSTGRESQL: LazyLock<String> =
    LazyLock::new(|| fs::read_to_string(source("docs/postgresql.md")).expect("docs/postgresql.md"));

/// All of `src`, with texts that go over several lines in one.
fn sources() -> String {
    fn read(folder: std::path::PathBuf, all: &mut String) {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                read(path, all);
            } else {
                all.push_str(&fs::read_to_string(path).expect("source"));
            }
        }
    }
    let mut all = String::new();
    read(source("src").into(), &mut all);
    Regex::new(r"\\\n\s*").expect("regex").replace_all(&all, "").into()
}

#[test]
fn what_the_log_says_as_the_document_on_postgresql_has_it_is_what_the_program_says() {
    let (_, table) = POSTGRESQL.split_once("| In the log |").expect("the table");
    let quoted = Regex::new("`([a-z][^`…]+)").expect("regex");
    let (sources, mut said) = (sources(), 0);
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cell = row.split(" | ").next().expect("a cell");
        for text in quoted.captures_iter(cell) {
            let text = text[1].trim_end_matches([' ', ':', ';', ',']);
            assert!(sources.contains(text), "{text}");
            said += 1;
        }
    }
    assert!(said > 10, "{said}");
}

#[tokio::test]
async fn the_looks_at_the_database_that_the_document_on_postgresql_names_are_understood() {
    let Some(server) = Server::start_at_server(Setup::default()).await else { return };
    let (_, after) = POSTGRESQL.split_once("\n## Looking at it\n").expect("the section");
    let (_, after) = after.split_once("```sql\n").expect("the looks");
    let looks = after.split("```").next().expect("their end");
    for look in looks.lines() {
        Rows::of(&server).await.script(look).await;
    }
    assert_eq!(looks.lines().count(), 4);
}

#[test]
fn the_limits_of_connections_and_calls_are_on_their_page_as_they_are() {
    let page = fs::read_to_string(source("docs/tls.md")).expect("docs/tls.md");
    let Ceilings { connections, connections_per_address, calls, calls_per_address, handshake, idle } =
        Ceilings::default();
    let thousands = |number: usize| match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    };
    for (flag, default) in [
        ("--max-connections", thousands(connections)),
        ("--max-connections-per-address", thousands(connections_per_address)),
        ("--max-calls", thousands(calls)),
        ("--max-calls-per-address", thousands(calls_per_address)),
        ("--handshake-timeout", format!("{} s each", handshake.as_secs())),
        ("--idle-timeout", format!("{} min", idle.as_secs() / 60)),
    ] {
        let said = page.lines().find_map(|line| Some(line.split_once(&format!("| `{flag}` | "))?.1));
        let said = said.unwrap_or_else(|| panic!("no row for {flag}"));
        assert_eq!(said.split([';', '|']).next().map(str::trim), Some(default.as_str()), "{flag}");
    }
}
