use std::io::{self, BufRead, IsTerminal as _, Write};

use clap::Args;

use crate::cli::{clean::clean, failure::Failure};

/// Asked before what cannot be undone.
#[derive(Debug, Args)]
pub(in crate::cli) struct Confirm {
    /// Do not ask whether it is meant
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Confirm {
    /// Whether somebody must be asked first.
    pub(in crate::cli) fn must_ask(&self) -> bool {
        !self.yes
    }

    /// Without somebody to ask, it is not done: better now than after a look at what it is about.
    pub(in crate::cli) fn can_ask(&self, what: &str) -> Result<(), Failure> {
        if self.yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{what} cannot be undone, and there is no terminal to ask on: say --yes if it is meant"
        )))
    }

    /// Asks, unless it was said. `question` names what it is about.
    pub(in crate::cli) fn ask(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        match answer(question, io::stdin().lock(), io::stderr()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Failed("not confirmed, so nothing was done".to_owned())),
            Err(error) => Err(Failure::Failed(format!("cannot ask, so nothing was done: {error}"))),
        }
    }
}

/// Only a yes is one: not an empty line, not the end of the input.
fn answer(question: &str, mut from: impl BufRead, mut to: impl Write) -> io::Result<bool> {
    write!(to, "{} [y/N] ", clean(question))?;
    to.flush()?;
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (said, is_yes) in
            [("y\n", true), ("YES \n", true), ("n\n", false), ("\n", false), ("", false), ("yeah\n", false)]
        {
            let mut asked = Vec::new();
            assert_eq!(answer("Revoke \u{1b}[8mx?", said.as_bytes(), &mut asked).expect("asked"), is_yes, "{said}");
            assert_eq!(String::from_utf8(asked).expect("UTF-8"), "Revoke \u{fffd}[8mx? [y/N] ");
        }
    }
}
