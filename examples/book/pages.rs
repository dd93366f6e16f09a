//! The pages that people write, as the book has them: all in one folder, and a link to what is not in
//! the book (a source file) is its text alone, so that no link of the book is dead.

use std::{fs, path::Path};

use regex::{Captures, Regex};

use super::Failed;

/// Pages that lie outside of `docs`, and what they are called in the book. What the protos say is there a page that
/// is made from them, so that a link to them is right in the repository and in the book.
const ELSEWHERE: [(&str, &str); 5] = [
    ("README.md", "overview.md"),
    ("helm/portcullis/README.md", "chart.md"),
    ("CHANGELOG.md", "changelog.md"),
    ("SECURITY.md", "security.md"),
    (PROTOS, "api.md"),
];
const PROTOS: &str = "proto/portcullis/v1";

/// What is made with the book, and so in no summary of the repository.
const MADE: &str = "# Reference\n\n- [API](api.md)\n- [Command line](command-line.md)\n";

/// Writes all pages into the book's folder, and copies what they show.
pub(super) fn lay_out(root: &Path, book: &Path) -> Result<(), Failed> {
    for entry in fs::read_dir(root.join("docs"))? {
        let name = entry?.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?;
        if name.ends_with(".md") {
            let mut text = fs::read_to_string(root.join("docs").join(&name))?;
            if name == "SUMMARY.md" {
                text = with_what_is_made(&text)?;
            }
            fs::write(book.join(&name), with_links_of_the_book(root, &format!("docs/{name}"), &text)?)?;
        } else if name != "book.toml" {
            fs::copy(root.join("docs").join(&name), book.join(&name))?;
        }
    }
    for (page, name) in ELSEWHERE.into_iter().filter(|(page, _)| *page != PROTOS) {
        let text = fs::read_to_string(root.join(page))?;
        fs::write(book.join(name), with_links_of_the_book(root, page, &text)?)?;
    }
    Ok(())
}

fn with_what_is_made(summary: &str) -> Result<String, Failed> {
    let (before, after) = summary.split_once("# Reference\n\n").ok_or("docs/SUMMARY.md has no part `# Reference`")?;
    Ok(format!("{before}{MADE}{after}"))
}

/// `text` of the page at `page`, leading to where things are in the book.
fn with_links_of_the_book(root: &Path, page: &str, text: &str) -> Result<String, Failed> {
    let link = Regex::new(r"\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")?;
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let lead = |found: &Captures<'_>| {
        let (label, to, anchor) = (&found[1], &found[2], found.get(3).map_or("", |anchor| anchor.as_str()));
        if to.contains("://") {
            return found[0].to_owned();
        }
        match in_the_book(root, &normal(&folder.join(to))) {
            Some(name) => format!("[{label}]({name}{anchor})"),
            None => label.to_owned(),
        }
    };
    Ok(link.replace_all(text, lead).into())
}

/// What the book calls a path of the repository.
fn in_the_book(root: &Path, path: &str) -> Option<String> {
    let elsewhere = ELSEWHERE.iter().find(|(page, _)| *page == path).map(|(_, name)| (*name).to_owned());
    let beside = || path.strip_prefix("docs/").filter(|name| made(name) || root.join(path).exists());
    elsewhere.or_else(|| beside().map(str::to_owned))
}

fn made(name: &str) -> bool {
    MADE.contains(&format!("({name})"))
}

/// Without `..`.
fn normal(path: &Path) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.to_str().unwrap_or_default().split('/') {
        match step {
            ".." => drop(steps.pop()),
            "" | "." => {}
            step => steps.push(step),
        }
    }
    steps.join("/")
}
