use std::{fs, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{failure::Failure, out::Out, serve::block_on};
use crate::{
    clock::Clock,
    config::DatabaseArgs,
    entropy::Entropy,
    recovery::{self, Answer, Archive, NotRecovered, Recovered},
    store::{DatabaseUrl, Store},
};

/// Say which revocations a restored database lost, so that it is answered from again
///
/// What an archive of `portcullis key watch --bookmarks --json` holds is done again before anything is answered: what was
/// revoked is revoked, and what was disabled, expired or narrowed is disabled, for somebody to look at. What became
/// of accounts is in no archive: where something may have, their list is shown, and --accept-accounts takes them as
/// the backup has them. A server on SQLite must be stopped; on PostgreSQL replicas may run, and answer a second later.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis confirm-restore --database-url sqlite:///var/lib/portcullis/portcullis.db \\
    --revocations revocations.jsonl --accept-accounts")]
pub(super) struct ConfirmRestore {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// What is known of what was lost.
#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    /// What a watcher of all applications was told since the backup, as `portcullis call
    /// KeyService/WatchRevocations` prints it. May be repeated
    #[arg(long, value_name = "FILE")]
    revocations: Vec<PathBuf>,

    /// What no archive holds is lost: keys that were revoked may be good again, and accounts are as the backup has them
    #[arg(long)]
    accept_loss: bool,

    /// Accounts are as the backup has them: those that were disabled since, keys that were removed from them and roles
    /// that were taken from them are good again
    #[arg(long)]
    accept_accounts: bool,
}

impl AnswerArgs {
    /// None where nothing is said.
    pub(super) fn read(&self) -> Result<Option<Answer>, Failure> {
        if self.revocations.is_empty() && !self.accept_loss && !self.accept_accounts {
            return Ok(None);
        }
        let read = |path: &PathBuf| {
            let named = |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
            Archive::read(&fs::read_to_string(path).map_err(|error| named(&error))?).map_err(|error| named(&error))
        };
        let archives = self.revocations.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Some(Answer { archives, accept_loss: self.accept_loss, accept_accounts: self.accept_accounts }))
    }
}

impl ConfirmRestore {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let url = self.database.url().map_err(Failure::usage)?;
        let answer = self.answer.read()?.unwrap_or_default();
        let said = block_on(async { confirm(&url, answer).await })?;
        out.line(&said.join("\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) async fn confirm(url: &DatabaseUrl, answer: Answer) -> Result<Vec<String>, Failure> {
    let store = Store::open(url, Clock::system(), Entropy::system()).await.map_err(Failure::failed)?;
    let done = recovery::confirm(&store, answer).await;
    store.close().await;
    done.map(|done| tell(&done)).map_err(|error| match error {
        NotRecovered::Nothing { .. } | NotRecovered::Accounts { .. } => Failure::usage(error),
        _ => Failure::failed(error),
    })
}

fn tell(done: &Recovered) -> Vec<String> {
    let Recovered { revoked, disabled, unknown, applications, accounts, .. } = done;
    let mut said = vec![format!(
        "confirmed: {revoked} keys revoked again, {disabled} disabled for somebody to look at, {unknown} not in the backup"
    )];
    said.extend(applications.iter().map(|id| format!("{id}: its keys were narrowed together; look at its plan")));
    if *accounts {
        said.push(
            "accounts are as the backup has them: disable again those that were disabled since, and remove keys again that \
             were removed from them"
                .to_owned(),
        );
    }
    said
}
