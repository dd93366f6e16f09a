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
        let text = if self.secret_only {
            clean(&secret)
        } else if printed.json() {
            json
        } else {
            details_and(&key, ("secret", &secret), &printed.look()?)
        };
        out.line(&text).map_err(|failure| lost(&key, &failure))?;
        if self.secret_only {
            note(&format!("made {}", described(&key)));
        }
        note("warning: the secret is shown this once and cannot be had again; put it where it is kept safe, now");
        Ok(())
    }
}

/// Nobody has seen the secret, and nobody can any more.
fn lost(key: &pb::Key, failure: &Failure) -> Failure {
    let why = match failure {
        Failure::Failed(why) => why,
        _ => "whoever reads standard output has gone",
    };
    Failure::Failed(format!(
        "{} was made, and its secret is lost: {why}; revoke it with `portcullis key revoke {} --yes`, and make another",
        described(key),
        key.key_id
    ))
}
