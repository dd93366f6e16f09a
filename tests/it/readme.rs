//! The README's session is run, and its tables are held against the protos and the source.

use std::{collections::HashMap, fs, sync::LazyLock};

use portcullis::{
    auth::{Credential, METHODS},
    domain::{
        key::{KeyEnvironment, KeyType},
        secret::{KeyPrefix, PlainKey, SecretHash},
    },
    signing::Signed,
};
use regex::Regex;

use crate::{
    clients::source,
    harness::{
        Rows, Server, Setup,
        dev::Dev,
        program::{Checkout, run, tool},
    },
};

static README: LazyLock<String> = LazyLock::new(|| fs::read_to_string(source("README.md")).expect("README.md"));

/// A command of a ```console block, and what it prints.
struct Step {
    command: String,
    output: String,
}

/// The commands of every ```console block: `$ ` begins one, `> ` goes on with it.
fn session() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in README.split("\n```console\n").skip(1) {
        for line in block.split("\n```\n").next().expect("the end of the block").lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: command.to_owned(), output: String::new() });
                continue;
            }
            let step = steps.last_mut().expect("a command before its output");
            match line.strip_prefix("> ") {
                Some(more) => step.command += &format!("\n{more}"),
                None => step.output += &format!("{line}\n"),
            }
        }
    }
    steps
}

/// What is another at each run, by kind.
static VARIES: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        r"(?<time>20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z)",
        r"(?<secret>[sp]k_(?:live|test)_[0-9A-Za-z]{49})",
        r"(?<prefix>[sp]k_(?:live|test)_[0-9A-Za-z]{6})",
        r"(?<id>(?:app|key|sa)_[0-9A-Za-z]{22})",
        r"(?<place>AQ[A-Za-z0-9_-]{60,})",
        r"(?<sha256>[0-9a-f]{64})",
        r"(?<hash>[A-Za-z0-9+/]{43}=)",
        r"(?<request>(?-u:\b)[0-9a-f]{32}(?-u:\b))",
        r"(?<kid>[A-Za-z0-9_-]{43})",
    ];
    Regex::new(&kinds.join("|")).expect("regex")
});

/// Which of the README's ids, secrets and the rest stands for which of this run.
#[derive(Default)]
struct Meaning(HashMap<String, String>);

impl Meaning {
    /// The README's text in the terms of this run.
    fn translate(&self, text: &str) -> String {
        VARIES
            .replace_all(text, |found: &regex::Captures<'_>| self.0.get(&found[0]).cloned().unwrap_or(found[0].into()))
            .into()
    }

    /// The same text, but for what varies; and that varies everywhere in the same way.
    fn check(&mut self, what: &str, documented: &str, printed: &str) {
        assert_eq!(shape(printed), shape(documented), "left: what `{what}` prints; right: what README.md says");
        for (theirs, ours) in VARIES.find_iter(documented).zip(VARIES.find_iter(printed)) {
            let known = self.0.entry(theirs.as_str().to_owned()).or_insert_with(|| ours.as_str().to_owned());
            let is_time = theirs.as_str().ends_with('Z') && theirs.as_str().starts_with("20");
            assert!(
                is_time || known == ours.as_str(),
                "`{what}`: {} is {known} and {}",
                theirs.as_str(),
                ours.as_str()
            );
        }
    }
}

fn shape(text: &str) -> String {
    let kind =
        |found: &regex::Captures<'_>| match VARIES.capture_names().flatten().find(|name| found.name(name).is_some()) {
            // A digest of what the README gives is the same at each run.
            Some("sha256") | None => found[0].to_owned(),
            Some(name) => format!("<{name}>"),
        };
    VARIES.replace_all(text, kind).into()
}

#[test]
fn its_session_is_what_the_program_prints() {
    let grpcurl = tool("PORTCULLIS_TEST_GRPCURL");
    let mut steps = session();
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
    meaning.check(&start.command, &here(&start.output), &format!("{}\n", dev.said.join("\n")));

    // One shell, since the commands set variables for each other.
    let mut script = "exec 2>&1\n".to_owned();
    for step in &steps {
        script += &format!("echo '<<< next'\n{}\n", meaning.translate(&here(&step.command)));
    }
    let mut shell = checkout.command("sh");
    if let Some(folder) = grpcurl.as_ref().and_then(|program| program.parent()) {
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("PATH"));
        shell.env("PATH", path);
    }
    let printed = run(shell.args(["-c", &script]).env("TZ", "UTC")).out;
    let printed: Vec<_> = printed.split("<<< next\n").skip(1).collect();
    assert_eq!(printed.len(), steps.len());
    for (step, printed) in steps.iter().zip(printed) {
        meaning.check(&step.command, &here(&step.output), printed);
    }
    dev.process.until(|line| line.starts_with("  revision 4: key_") && line.ends_with(" REVOKED"));
}

/// The cells of the rows of a section's table, without the backticks of the first.
fn rows(section: &str) -> Vec<Vec<String>> {
    let rows = part(section).lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect()
}

fn part(section: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {section}\n")).expect("the section");
    rest.split("\n## ").next().expect("its text")
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
fn its_table_of_methods_is_that_of_the_protos() {
    let documented: Vec<_> = rows("Callers");
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
fn its_table_of_errors_has_each_reason_and_its_code() {
    let documented: Vec<_> = rows("Errors").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let reasons = values("proto/portcullis/v1/error_reason.proto", "ErrorReason", "ERROR_REASON_");
    let code = |comment: &str| comment.split('.').next().unwrap_or_default().to_owned();
    let reasons: Vec<_> = reasons.into_iter().map(|(reason, comment)| (reason, code(&comment))).collect();
    assert_eq!(documented, reasons);
}

#[test]
fn its_table_of_verdicts_has_each_with_its_status() {
    let documented: Vec<_> = rows("Verdicts").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
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
fn its_regex_finds_every_key() {
    let (_, rest) = part("Keys").split_once("```\n").expect("the regex");
    let regex = Regex::new(&format!("^{}$", rest.lines().next().expect("a line"))).expect("regex");
    for first in [None, Some(KeyPrefix::parse("a0bcdefghijklmno").expect("prefix"))] {
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let key = PlainKey::make(first.as_ref(), KeyType::Secret, environment, rand::random::<[u8; 32]>().into());
            assert!(regex.is_match(&key.reveal()));
        }
    }
    let example = part("Keys").split('`').find(|text| text.starts_with("sk_live_")).expect("an example");
    assert!(regex.is_match(example) && SecretHash::of_presented(example).is_ok());
}

#[test]
fn its_example_of_a_signed_text_is_what_the_server_makes() {
    let steps = session();
    let lines = steps.iter().find(|step| step.command.starts_with("cat >lines")).expect("the example");
    let lines: Vec<_> = lines.command.lines().skip(1).filter(|line| *line != "END").collect();
    let [_, audience, _, path, timestamp, nonce, kid, _] = lines[..] else { panic!("eight lines: {lines:?}") };
    let message = b"\x0a\x1aapp_0000000000000000000001\x12\x1akey_0000000000000000000002";
    let text = Signed { audience, path, timestamp, nonce, kid, message }.text();
    assert_eq!(text, format!("{}\n", lines.join("\n")));
}

#[test]
fn the_tests_files_and_flags_that_it_names_exist() {
    let test = Regex::new("`([a-z_]+)::([a-z0-9_]+)`").expect("regex");
    let mut cited = 0;
    for found in test.captures_iter(part("Promises")) {
        let file = fs::read_to_string(source(&format!("tests/it/{}.rs", &found[1]))).expect(&found[0]);
        assert!(file.contains(&format!("fn {}()", &found[2])), "{}", &found[0]);
        cited += 1;
    }
    assert!(cited > 10);
    let path = Regex::new(r"[`(]((?:src|tests|proto|helm|migrations|docs)(?:/[A-Za-z0-9_./-]+)?|[A-Z]+(?:\.md)?)[`)]")
        .expect("regex");
    let paths = path.captures_iter(&README).filter(|found| found[1].contains(['/', '.']));
    for found in paths {
        assert!(fs::exists(source(&found[1])).expect("stat"), "{}", &found[1]);
    }
    let checkout = Checkout::new();
    let help: String =
        ["serve", "bootstrap", "call", "health"].map(|command| checkout.run(&[command, "--help"]).good()).concat();
    let flags = Regex::new("--[a-z][a-z-]+").expect("regex");
    // What is measured has flags of its own.
    let (described, _) = POSTGRESQL.split_once("\n## Measured\n").expect("what was measured");
    let described = described.replace("cargo bench --bench", "");
    for text in [part("Operating"), part("Several replicas on PostgreSQL"), &described] {
        for flag in flags.find_iter(text) {
            assert!(help.contains(flag.as_str()), "{}", flag.as_str());
        }
    }
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
            let text = text[1].trim_end_matches([' ', ':', ',']);
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
