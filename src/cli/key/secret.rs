//! A secret that is shown, once.

use clap::Args;

use crate::{
    cli::{
        clean::clean,
        failure::Failure,
        key::named::described,
        out::{Out, note},
        people::{Printed, details_and},
    },
    pb,
};

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// Print the secret and nothing else, to capture it
    #[arg(long, conflicts_with = "json")]
    secret_only: bool,
}

/// An answer that has a new key in it.
pub(super) struct Made {
    pub(super) key: pb::Key,
    pub(super) secret: String,
    pub(super) json: String,
}

impl SecretArgs {
    /// The secret goes to standard output alone; that it is shown once, to standard error.
    pub(super) fn show(&self, made: Made, printed: &Printed, out: &mut Out) -> Result<(), Failure> {
        let Made { key, secret, json } = made;
        if self.secret_only {
            out.line(&clean(&secret))?;
            note(&format!("made {}", described(&key)));
        } else if printed.json() {
            out.line(&json)?;
        } else {
            out.line(&details_and(&key, ("secret", &secret), &printed.look()?))?;
        }
        note("warning: the secret is shown this once and cannot be had again; put it where it is kept safe, now");
        Ok(())
    }
}
