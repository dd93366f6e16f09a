//! `portcullis app`: applications, for people.

mod columns;
mod create;
mod get;
mod list;
mod settings;
mod update;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{failure::Failure, out::Out};

/// Make, see and change applications, the tenants that keys are of
#[derive(Debug, Args)]
pub(super) struct App {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    List(list::List),
    Get(get::Get),
    Update(update::Update),
}

impl App {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Create(create) => create.run(out),
            Command::List(list) => list.run(out),
            Command::Get(get) => get.run(out),
            Command::Update(update) => update.run(out),
        }
    }
}
