//! Sessions that documents show: what is typed, and what it prints. Ids, secrets and times are
//! others at each run; that they stand for the same things throughout is checked.

use std::{collections::HashMap, process::Command, sync::LazyLock};

use regex::Regex;

use super::program::run;

/// A command of a ```console block, or all of a ```sh block.
pub(crate) struct Step {
    pub(crate) command: String,
    /// What it prints. A ```sh block says so in a ```text block right behind it, or not at all.
    pub(crate) output: Option<String>,
    /// Of a ```sh block: the first command that fails ends it, and the session.
    pub(crate) succeeds: bool,
}

impl Step {
    /// As a shell is to read it.
    pub(crate) fn typed(&self, command: &str) -> String {
        if self.succeeds { format!("set -e\n{command}\nset +e\n") } else { format!("{command}\n") }
    }
}

/// The commands of every ```console block: `$ ` begins one, `> ` goes on with it.
pub(crate) fn steps(document: &str) -> Vec<Step> {
    steps_run_by("", document)
}

/// Those, and the ```sh blocks that say that this test runs them.
pub(crate) fn steps_run_by(test: &str, document: &str) -> Vec<Step> {
    let ours = format!("sh run-by={test}");
    let (mut steps, mut fence, mut behind): (Vec<Step>, Option<&str>, bool) = (Vec::new(), None, false);
    for line in document.lines() {
        match fence {
            None => match line.strip_prefix("```") {
                Some(info) => {
                    if info == ours {
                        steps.push(Step { command: String::new(), output: None, succeeds: true });
                    } else if info == "text" && behind {
                        steps.last_mut().expect("the block before").output = Some(String::new());
                    }
                    (fence, behind) = (Some(info), behind && info == "text");
                }
                None => behind &= line.is_empty(),
            },
            Some(info) if line == "```" => (fence, behind) = (None, info == ours),
            Some("console") => match (line.strip_prefix("$ "), line.strip_prefix("> ")) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), output: Some(String::new()), succeeds: false });
                }
                (None, Some(more)) => steps.last_mut().expect("its beginning").command += &format!("\n{more}"),
                (None, None) => add(&mut steps, line),
            },
            Some(info) if info == ours => steps.last_mut().expect("its block").command += &format!("{line}\n"),
            Some("text") if behind => add(&mut steps, line),
            Some(_) => {}
        }
    }
    steps
}

fn add(steps: &mut [Step], line: &str) {
    let step = steps.last_mut().expect("a command before its output");
    *step.output.get_or_insert_default() += &format!("{line}\n");
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
        self.compare(what, documented, printed).unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    /// The same, where it is no panic.
    pub(crate) fn compare(&mut self, what: &str, documented: &str, printed: &str) -> Result<(), String> {
        if shape(printed) != shape(documented) {
            return Err(format!("`{what}` prints\n{printed}\nand the document says\n{documented}"));
        }
        for (theirs, ours) in VARIES.find_iter(documented).zip(VARIES.find_iter(printed)) {
            let known = self.0.entry(theirs.as_str().to_owned()).or_insert_with(|| ours.as_str().to_owned());
            let is_time = theirs.as_str().ends_with('Z') && theirs.as_str().starts_with("20");
            if !is_time && known != ours.as_str() {
                return Err(format!("`{what}`: {} is {known} and {}", theirs.as_str(), ours.as_str()));
            }
        }
        Ok(())
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
        script += &format!("echo '<<< next'\n{}", step.typed(&meaning.translate(&here(&step.command))));
    }
    let printed = run(shell.args(["-c", &script]).env("TZ", "UTC")).out;
    let printed: Vec<_> = printed.split("<<< next\n").skip(1).collect();
    let reached = printed.len().checked_sub(1).map_or("nothing", |last| &steps[last].command);
    assert_eq!(printed.len(), steps.len(), "it ended at `{reached}`: {printed:?}");
    for (step, printed) in steps.iter().zip(printed) {
        if let Some(output) = &step.output {
            meaning.check(&step.command, &here(output), printed);
        }
    }
}
