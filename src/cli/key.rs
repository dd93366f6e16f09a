//! `portcullis key`: keys, for people.

mod columns;
mod create;
mod get;
mod list;
mod named;
mod revoke;
mod rotate;
mod secret;
mod settings;
mod update;
mod usage;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{failure::Failure, out::Out};

/// Make, see, change and end keys
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<create::Create>),
    List(list::List),
    Get(get::Get),
    Update(Box<update::Update>),
    Rotate(rotate::Rotate),
    Revoke(revoke::Revoke),
    Verify(verify::Verify),
    Watch(watch::Watch),
    Usage(usage::Usage),
}

impl Key {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Create(create) => create.run(out),
            Command::List(list) => list.run(out),
            Command::Get(get) => get.run(out),
            Command::Update(update) => update.run(out),
            Command::Rotate(rotate) => rotate.run(out),
            Command::Revoke(revoke) => revoke.run(out),
            Command::Verify(verify) => verify.run(out),
            Command::Watch(watch) => watch.run(out),
            Command::Usage(usage) => usage.run(out),
        }
    }
}
