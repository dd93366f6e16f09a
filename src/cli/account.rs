//! `portcullis account`: service accounts, the callers, for people.

mod add_key;
mod columns;
mod create;
mod disable;
mod get;
mod list;
mod new_key;
mod remove_key;
mod settings;
mod update;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    failure::Failure,
    out::Out,
    people::{Printed, details},
};
use crate::pb;

/// Make, see, change and disable service accounts, the callers
#[derive(Debug, Args)]
pub(super) struct Account {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    List(list::List),
    Get(get::Get),
    Update(update::Update),
    Disable(disable::Disable),
    AddKey(add_key::AddKey),
    RemoveKey(remove_key::RemoveKey),
}

impl Account {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Create(create) => create.run(out),
            Command::List(list) => list.run(out),
            Command::Get(get) => get.run(out),
            Command::Update(update) => update.run(out),
            Command::Disable(disable) => disable.run(out),
            Command::AddKey(add) => add.run(out),
            Command::RemoveKey(remove) => remove.run(out),
        }
    }
}

/// An account as it is now.
fn show(json: String, account: Option<pb::ServiceAccount>, printed: &Printed, out: &mut Out) -> Result<(), Failure> {
    if printed.json() { out.line(&json) } else { out.line(&details(&account.unwrap_or_default(), &printed.look()?)) }
}

/// `sa_… (ci)`.
fn described(account: &pb::ServiceAccount) -> String {
    format!("{} ({})", account.service_account_id, account.name)
}
