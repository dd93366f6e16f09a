//! Holds the documents together: every link leads somewhere, every page is in the book, and every
//! block of commands is run by a test or says that it is not. The rule is in docs/contributing.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The files of this ending in a folder, by their paths in the repository.
fn files(folder: &str, ending: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(source(folder)).expect("folder").map(|entry| entry.expect("entry")) {
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.path().is_dir() {
            found.extend(files(&path, ending));
        } else if path.ends_with(ending) {
            found.insert(path);
        }
    }
    found
}

/// Pages that do not lie in `docs`.
const OUTSIDE: [&str; 4] = ["README.md", "CHANGELOG.md", "SECURITY.md", "helm/portcullis/README.md"];

/// What is written for users: path and text.
static PAGES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let paths = files("docs", ".md").into_iter().chain(OUTSIDE.map(str::to_owned));
    paths.map(|path| (path.clone(), read(&path))).collect()
});

/// What stands between fences: the line, what the fence says of it, and the text.
#[derive(Debug)]
struct Block<'a> {
    line: usize,
    info: &'a str,
    lines: Vec<&'a str>,
}

/// The blocks of a page, and what is outside of them.
fn parse(text: &str) -> (Vec<Block<'_>>, Vec<&str>) {
    let (mut blocks, mut prose, mut open) = (Vec::new(), Vec::new(), None);
    for (line, content) in text.lines().enumerate() {
        match (open.take(), content.trim_start().strip_prefix("```")) {
            (None, Some(info)) => open = Some(Block { line: line + 1, info: info.trim(), lines: Vec::new() }),
            (None, None) => prose.push(content),
            (Some(block), Some("")) => blocks.push(block),
            (Some(mut block), _) => {
                block.lines.push(content);
                open = Some(block);
            }
        }
    }
    assert!(open.is_none(), "a block without an end: {open:?}");
    (blocks, prose)
}

/// What a heading is linked to by, on the pages of a repository and in the book alike.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in parse(text).1.iter().filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|n| format!("{anchor}-{n}"));
        let anchor = std::iter::once(anchor.clone()).chain(again).find(|anchor| !anchors.contains(anchor));
        anchors.extend(anchor);
    }
    anchors
}

/// Where the links of a page lead, without those to other places.
fn links(text: &str) -> Vec<String> {
    static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").expect("regex"));
    static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new("`[^`]*`").expect("regex"));
    let prose = parse(text).1.join("\n");
    let prose = CODE.replace_all(&prose, "");
    let links = LINK.captures_iter(&prose).map(|found| found[1].to_owned());
    links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")).collect()
}

/// The path in the repository that a link of `page` leads to, and its anchor.
fn target(page: &str, link: &str) -> (String, Option<String>) {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor.to_owned())));
    if path.is_empty() {
        return (page.to_owned(), anchor);
    }
    let mut steps: Vec<&str> = page.split('/').collect();
    steps.pop();
    for step in Path::new(path).components() {
        match step {
            Component::ParentDir => assert!(steps.pop().is_some(), "{page}: {link} leads out of the repository"),
            Component::Normal(step) => steps.push(step.to_str().expect("UTF-8")),
            _ => {}
        }
    }
    (steps.join("/"), anchor)
}

#[test]
fn every_link_leads_to_a_file_of_the_repository_and_every_anchor_to_a_heading() {
    let mut dead = Vec::new();
    let mut looked_at = 0;
    for (page, text) in PAGES.iter() {
        for link in links(text) {
            let (path, anchor) = target(page, &link);
            looked_at += 1;
            // Also what is made with the book: on the pages of a repository it is not there.
            let leads = source(&path).exists();
            let heads =
                anchor.is_none_or(|anchor| PAGES.get(&path).is_some_and(|text| anchors(text).contains(&anchor)));
            if !(leads && heads) {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "these lead nowhere: {dead:#?}");
    assert!(looked_at > 50, "{looked_at}");
}

#[test]
fn every_page_is_in_the_summary_once_and_all_that_the_summary_names_is_there() {
    let summary = "docs/SUMMARY.md";
    let mut named: Vec<_> = links(&PAGES[summary]).iter().map(|link| target(summary, link).0).collect();
    named.sort();
    let pages: Vec<_> = PAGES.keys().filter(|page| *page != summary).cloned().collect();
    assert_eq!(named, pages, "left: what docs/SUMMARY.md names; right: what there is; add the line that is missing");
}

/// The links of a text, each with what it is called.
fn labelled(text: &str) -> Vec<(String, String)> {
    static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[([^\]]+)\]\(([^)\s#]+)\)").expect("regex"));
    LINK.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[test]
fn pages_are_called_by_their_titles_in_the_summary_and_in_the_list_of_the_readme() {
    let (_, list) = PAGES["README.md"].split_once("\n| Page | For |\n").expect("the list");
    let list: Vec<_> = list.lines().take_while(|line| line.starts_with('|')).collect();
    let (list, mut called) = (list.join("\n"), 0);
    for (page, text) in [("docs/SUMMARY.md", &PAGES["docs/SUMMARY.md"]), ("README.md", &list)] {
        for (label, link) in labelled(text) {
            let (path, _) = target(page, &link);
            let title = PAGES[&path].lines().next().and_then(|line| line.strip_prefix("# ")).expect("a title");
            assert_eq!(label, title, "{page}: {link}");
            called += 1;
        }
    }
    assert!(called > 50, "{called}");
}

/// Whether `block` of `page` is run, or says that it is not.
fn is_accounted_for(page: &str, block: &Block<'_>, tests: &BTreeMap<String, String>) -> bool {
    let (language, mark) = block.info.split_once(' ').unwrap_or((block.info, ""));
    match language {
        "console" | "sh" | "bash" | "shell" if mark == "not-run" => true,
        // Whoever plays a session names the document that it is of.
        "console" if mark.is_empty() => {
            tests.values().any(|test| test.contains(&format!("\"{page}\"")) && test.contains("session::steps"))
        }
        "sh" => mark
            .strip_prefix("run-by=")
            .and_then(|test| tests.get(test))
            .is_some_and(|test| test.contains(page) && test.contains(block.info)),
        "console" | "bash" | "shell" => false,
        // A block without a language would be neither.
        language => !language.is_empty() && !block.lines.iter().any(|line| line.starts_with("$ ")),
    }
}

#[test]
fn every_block_of_commands_is_run_by_a_test_or_says_that_it_is_not() {
    let tests: BTreeMap<_, _> = files("tests", ".rs").into_iter().map(|path| (path.clone(), read(&path))).collect();
    let (mut neither, mut run) = (Vec::new(), 0);
    // The chart's own commands are run by tests/helm, which finds them in its notes and not in its README.
    for (page, text) in PAGES.iter().filter(|(page, _)| !page.starts_with("helm/")) {
        for block in parse(text).0 {
            if !is_accounted_for(page, &block, &tests) {
                neither.push(format!("{page}:{}: ```{}", block.line, block.info));
            }
            run += usize::from(block.info == "console" || block.info.contains("run-by="));
        }
    }
    assert!(
        neither.is_empty(),
        "neither run nor marked, or without a language: {neither:#?}; docs/contributing.md says how to mark them"
    );
    assert!(run > 10, "{run}");
}

#[test]
fn a_block_that_is_neither_run_nor_marked_is_found() {
    let tests =
        [("tests/it/a.rs", r#"session::steps("docs/a.md")"#), ("tests/it/b.rs", "docs/a.md sh run-by=tests/it/b.rs")];
    let tests: BTreeMap<_, _> = tests.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let is_found = |page: &str, info: &str, line: &str| {
        !is_accounted_for(page, &Block { line: 1, info, lines: vec![line] }, &tests)
    };
    for (info, line) in [
        ("", "plain"),
        ("sh", "ls"),
        ("sh run", "ls"),
        ("sh run-by=tests/it/a.rs", "ls"),
        ("bash", "ls"),
        ("text", "$ ls"),
        ("console run", "$ ls"),
    ] {
        assert!(is_found("docs/a.md", info, line), "{info}");
    }
    assert!(is_found("docs/b.md", "console", "$ ls"), "a session that nobody plays");
    for (info, line) in [
        ("console", "$ ls"),
        ("console not-run", "$ ls"),
        ("sh not-run", "ls"),
        ("sh run-by=tests/it/b.rs", "ls"),
        ("json", "{}"),
    ] {
        assert!(!is_found("docs/a.md", info, line), "{info}");
    }
}

#[test]
fn anchors_are_those_of_the_headings() {
    let text = "# A title\n## `call`, and *more*\n```sh not-run\n# no heading\n```\n## Twice\n## Twice\n";
    assert_eq!(anchors(text), ["a-title", "call-and-more", "twice", "twice-1"].map(str::to_owned).into());
    let links = links("[a](b.md#c) and `[d](e.md)` and [f](https://g.example)");
    assert_eq!(links, ["b.md#c"]);
    assert_eq!(target("docs/a.md", "../README.md#tests"), ("README.md".to_owned(), Some("tests".to_owned())));
}

#[test]
fn the_readme_is_short() {
    let lines = PAGES["README.md"].lines().count();
    assert!(lines <= 212, "{lines} lines: what a stranger does not need in the first five minutes belongs into docs/");
}
