//! The command line. One file a command: its flags and what it does.
//!
//! Standard output holds what was asked for and nothing else; all that is said about it
//! goes to standard error. Exit codes: 0 done, 1 the call failed, 2 it could not be
//! tried as asked.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

#[cfg(feature = "client")]
mod account;
#[cfg(feature = "client")]
mod app;
#[cfg(feature = "client")]
mod args;
#[cfg(feature = "client")]
mod audit;
#[cfg(feature = "server")]
mod backup;
#[cfg(all(feature = "server", feature = "client"))]
mod bench;
#[cfg(all(feature = "server", feature = "client"))]
mod bootstrap;
#[cfg(feature = "client")]
mod call;
#[cfg(feature = "server")]
mod check;
mod clean;
#[cfg(feature = "client")]
mod completions;
#[cfg(feature = "server")]
mod confirm_restore;
#[cfg(all(feature = "server", feature = "client"))]
mod dev;
mod failure;
#[cfg(feature = "client")]
mod flags;
#[cfg(all(feature = "server", feature = "client"))]
mod guide;
#[cfg(feature = "client")]
mod health;
mod hint;
#[cfg(feature = "client")]
mod import;
#[cfg(feature = "client")]
mod key;
#[cfg(feature = "client")]
mod man;
#[cfg(feature = "server")]
mod migrate;
mod out;
#[cfg(feature = "client")]
mod people;
#[cfg(feature = "server")]
mod restore;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "client")]
mod sign;
#[cfg(feature = "client")]
mod token;

use failure::Failure;
use out::Out;

/// Issues API keys, verifies them, and makes a revocation take effect everywhere before
/// the Revoke call returns.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(all(feature = "server", feature = "client"))]
    Dev(dev::Dev),
    #[cfg(feature = "server")]
    Serve(serve::Serve),
    #[cfg(feature = "server")]
    Migrate(migrate::Migrate),
    #[cfg(all(feature = "server", feature = "client"))]
    Bootstrap(bootstrap::Bootstrap),
    #[cfg(feature = "server")]
    Check(Box<check::Check>),
    #[cfg(feature = "server")]
    Backup(backup::Backup),
    #[cfg(feature = "server")]
    Restore(restore::Restore),
    #[cfg(feature = "server")]
    ConfirmRestore(confirm_restore::ConfirmRestore),
    #[cfg(feature = "client")]
    Call(call::Call),
    #[cfg(feature = "client")]
    Sign(sign::Sign),
    #[cfg(feature = "client")]
    Token(token::Token),
    #[cfg(feature = "client")]
    Health(health::Health),
    #[cfg(feature = "client")]
    Key(key::Key),
    #[cfg(feature = "client")]
    App(app::App),
    #[cfg(feature = "client")]
    Account(account::Account),
    #[cfg(feature = "client")]
    Audit(audit::Audit),
    #[cfg(feature = "client")]
    Import(import::Import),
    #[cfg(feature = "client")]
    Completions(completions::Completions),
    #[cfg(feature = "client")]
    Man(man::Man),
    #[cfg(all(feature = "server", feature = "client"))]
    Bench(bench::Bench),
}

impl Cli {
    /// What was typed, with the settings that stand elsewhere. Else it has said why not, and this is the exit code.
    ///
    /// # Errors
    /// Where a setting is wrong.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        #[cfg(feature = "server")]
        let arguments = match crate::config::with_settings(&<Self as clap::CommandFactory>::command(), arguments) {
            Ok(arguments) => arguments,
            Err(refused) => {
                let crate::config::Refused { mut wrong, command, rest } = *refused;
                if let Some(Self { command: Command::Serve(serve) }) = Self::parsed(command, rest) {
                    wrong.extend(serve.wrong());
                }
                // Where standard error is closed, the exit code alone says it.
                let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {wrong}").as_bytes());
                return Err(ExitCode::from(2));
            }
        };
        Ok(Self::parse_from(arguments))
    }

    #[cfg(feature = "server")]
    fn parsed(command: clap::Command, arguments: Vec<OsString>) -> Option<Self> {
        let matches = command.try_get_matches_from(arguments).ok()?;
        <Self as clap::FromArgMatches>::from_arg_matches(&matches).ok()
    }

    /// Does what the command line says.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let out = Out::stdout();
        self.command.warn_on_stderr();
        self.command.run(out).unwrap_or_else(|failure| failure.report())
    }
}

impl Command {
    /// Warnings of a command that has no log of its own, such as *others can read this file*.
    fn warn_on_stderr(&self) {
        #[cfg(feature = "client")]
        if matches!(
            self,
            Self::Call(_)
                | Self::Sign(_)
                | Self::Token(_)
                | Self::Health(_)
                | Self::Key(_)
                | Self::App(_)
                | Self::Account(_)
                | Self::Audit(_)
                | Self::Import(_)
        ) {
            // Refused only where a subscriber stands already, in a test.
            let _ = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::WARN)
                .with_writer(std::io::stderr)
                .without_time()
                .with_target(false)
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()) && !anstyle_query::no_color())
                .try_init();
        }
    }

    fn run(self, out: Out) -> Result<ExitCode, Failure> {
        match self {
            #[cfg(all(feature = "server", feature = "client"))]
            Self::Dev(dev) => dev.run(out),
            #[cfg(feature = "server")]
            Self::Serve(serve) => serve.run(),
            #[cfg(feature = "server")]
            Self::Migrate(migrate) => migrate.run(out),
            #[cfg(all(feature = "server", feature = "client"))]
            Self::Bootstrap(bootstrap) => bootstrap.run(out),
            #[cfg(feature = "server")]
            Self::Check(check) => check.run(out),
            #[cfg(feature = "server")]
            Self::Backup(backup) => backup.run(out),
            #[cfg(feature = "server")]
            Self::Restore(restore) => restore.run(out),
            #[cfg(feature = "server")]
            Self::ConfirmRestore(confirm) => confirm.run(out),
            #[cfg(feature = "client")]
            Self::Call(call) => call.run(out),
            #[cfg(feature = "client")]
            Self::Sign(sign) => sign.run(out),
            #[cfg(feature = "client")]
            Self::Token(token) => token.run(out),
            #[cfg(feature = "client")]
            Self::Health(health) => health.run(out),
            #[cfg(feature = "client")]
            Self::Key(key) => key.run(out),
            #[cfg(feature = "client")]
            Self::App(app) => app.run(out),
            #[cfg(feature = "client")]
            Self::Account(account) => account.run(out),
            #[cfg(feature = "client")]
            Self::Audit(audit) => audit.run(out),
            #[cfg(feature = "client")]
            Self::Import(import) => import.run(out),
            #[cfg(feature = "client")]
            Self::Completions(completions) => completions.run(out),
            #[cfg(feature = "client")]
            Self::Man(man) => man.run(out),
            #[cfg(all(feature = "server", feature = "client"))]
            Self::Bench(bench) => bench.run(out),
        }
    }
}
