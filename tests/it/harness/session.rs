//! Sessions that documents show: what is typed, and what it prints. Ids, secrets and times are
//! others at each run; that they stand for the same things throughout is checked.

use std::{collections::HashMap, process::Command, sync::LazyLock};

use regex::Regex;

use super::program::run;

/// A command of a ```console block, and what it prints.
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// The commands of every ```console block: `$ ` begins one, `> ` goes on with it.
pub(crate) fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in document.split("\n```console\n").skip(1) {
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

/// Which of the document's ids, secrets and the rest stands for which of this run.
#[derive(Default)]
pub(crate) struct Meaning(HashMap<String, String>);

impl Meaning {
    /// The document's text in the terms of this run.
    pub(crate) fn translate(&self, text: &str) -> String {
        VARIES
            .replace_all(text, |found: &regex::Captures<'_>| self.0.get(&found[0]).cloned().unwrap_or(found[0].into()))
            .into()
    }

    /// The same text, but for what varies; and that varies everywhere in the same way.
    pub(crate) fn check(&mut self, what: &str, documented: &str, printed: &str) {
        assert_eq!(shape(printed), shape(documented), "left: what `{what}` prints; right: what the document says");
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
            // A digest of what the document gives is the same at each run.
            Some("sha256") | None => found[0].to_owned(),
            Some(name) => format!("<{name}>"),
        };
    VARIES.replace_all(text, kind).into()
}

/// Types all into one shell, since commands set variables for each other, and holds what they print
/// against the document. `here`: its text as it would be in this folder.
pub(crate) fn play(steps: &[Step], shell: &mut Command, here: impl Fn(&str) -> String, meaning: &mut Meaning) {
    let mut script = "exec 2>&1\n".to_owned();
    for step in steps {
        script += &format!("echo '<<< next'\n{}\n", meaning.translate(&here(&step.command)));
    }
    let printed = run(shell.args(["-c", &script]).env("TZ", "UTC")).out;
    let printed: Vec<_> = printed.split("<<< next\n").skip(1).collect();
    assert_eq!(printed.len(), steps.len());
    for (step, printed) in steps.iter().zip(printed) {
        meaning.check(&step.command, &here(&step.output), printed);
    }
}
