use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{
    failure::Failure,
    out::{Out, note},
    serve::block_on,
};
use crate::{
    clock::Clock,
    config::DatabaseArgs,
    entropy::Entropy,
    recovery::{self, Answer, Archive, ArchiveRefused, NotRecovered, Recovered},
    store::{DatabaseUrl, Store},
};

/// Say which revocations a restored database lost, so that it is answered from again
///
/// What an archive of `portcullis key watch --archive FILE` holds is done again before anything is answered: what was
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
    /// What a watcher of all applications was told since the backup, as `portcullis key watch --archive FILE` keeps it.
    /// May be repeated
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
        let archives = self.revocations.iter().map(|path| archive(path)).collect::<Result<_, _>>()?;
        Ok(Some(Answer { archives, accept_loss: self.accept_loss, accept_accounts: self.accept_accounts }))
    }
}

fn archive(path: &Path) -> Result<Archive, Failure> {
    let refused = |error: ArchiveRefused| Failure::Usage(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| refused(error.into()))?;
    let archive = Archive::read(BufReader::new(file)).map_err(refused)?;
    if let Some(line) = archive.cut {
        note(&format!(
            "{}: line {line}, the last one, was not written to its end and is left out: at most it was the item that was being \
             written",
            path.display()
        ));
    }
    Ok(archive)
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
    if let Some(accounts) = accounts {
        said.push(format!(
            "accounts are as the backup has them: disable again those that were disabled since, and remove keys again that \
             were removed from them. Who may call now: {accounts}"
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            event::Position,
            id::{ApplicationId, Revision},
            token::{FilterPrint, ResumeToken},
        },
        pb::RevocationCause,
    };

    #[test]
    fn a_restore_knows_every_cause_that_a_watcher_is_told() {
        let causes: Vec<_> = (1..100).filter_map(|number| RevocationCause::try_from(number).ok()).collect();
        assert!(causes.len() > 5, "{causes:?}");
        let position = Position { revision: Revision::new(1), event_id: Uuid::from_u128(1) };
        let token = ResumeToken::new(Uuid::from_u128(2), position, FilterPrint::of(&[])).encode();
        let application = ApplicationId::new(Uuid::from_u128(3)).to_string();
        for cause in causes.iter().map(RevocationCause::as_str_name) {
            let told = serde_json::json!({"revision": "1", "application_id": application, "cause": cause});
            let line = serde_json::json!({"revocation": told, "resume_token": token}).to_string() + "\n";
            Archive::read(line.as_bytes()).unwrap_or_else(|refused| panic!("{cause}: {refused}"));
        }
    }
}
