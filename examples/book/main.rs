//! Builds the book of `docs` into `target/book`: its pages, the README's and the chart's, and a
//! reference that is made from the protos and from the command line. `docs/contributing.md` says more.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

mod api;
mod command_line;
mod pages;

/// What `tests/run` installs, and what this was tried with.
const MDBOOK: &str = "mdbook 0.5.4";

type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match build() {
        Ok(book) => {
            println!("{}", book.join("index.html").display());
            ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<PathBuf, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = root.join("target/book");
    let sources = book.join("src");
    if sources.exists() {
        fs::remove_dir_all(&sources)?;
    }
    fs::create_dir_all(&sources)?;
    fs::copy(root.join("docs/book.toml"), book.join("book.toml"))?;
    pages::lay_out(root, &sources)?;
    fs::write(sources.join("api.md"), api::page()?)?;
    fs::write(sources.join("command-line.md"), command_line::page())?;

    let ended = Command::new(mdbook(root)).arg("build").arg(&book).status();
    let ended = ended.map_err(|e| {
        format!("{MDBOOK} could not be started ({e}): tests/run book installs it, or cargo install mdbook --locked")
    })?;
    if !ended.success() {
        return Err(format!("mdbook ended with {ended}").into());
    }
    Ok(book.join("html"))
}

/// The one that `tests/run` installed, or else that of the PATH.
fn mdbook(root: &Path) -> PathBuf {
    let installed = root.join("target/tools/bin/mdbook");
    if installed.exists() { installed } else { "mdbook".into() }
}

/// Text in which nothing is markup but what stands in backticks.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(place, part)| {
        if place % 2 == 0 {
            part.replace('<', "&lt;").replace('*', "\\*").replace("](", "]\\(")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("`")
}
