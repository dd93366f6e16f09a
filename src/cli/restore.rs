use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    confirm_restore::{AnswerArgs, confirm},
    failure::Failure,
    out::Out,
    serve::block_on,
};
use crate::{
    clock::Clock,
    config::DatabaseArgs,
    domain::id::Revision,
    entropy::Entropy,
    store::{DatabaseUrl, Replaces, RestoreError, Restored, Store},
};

/// Put a backup in the place of an SQLite database
///
/// The server must be stopped. What was there before is moved aside, and never deleted. What is there now is
/// marked: a server that starts on it answers RESTORE_UNCONFIRMED until somebody has said which revocations
/// the backup lost, here or by `portcullis confirm-restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis restore --database-url sqlite:///var/lib/portcullis/portcullis.db --from backup.db \\
    --revocations revocations.jsonl

A PostgreSQL database is restored by its own tools, with every replica stopped. Before any of them starts:
  portcullis restore --mark-only --database-url postgres://…")]
pub(super) struct Restore {
    #[command(flatten)]
    database: DatabaseArgs,

    /// The backup, as `portcullis backup` wrote it
    #[arg(long, value_name = "FILE", required_unless_present = "mark_only", conflicts_with = "mark_only")]
    from: Option<PathBuf>,

    /// Put it in the place of a database with another history, too: one of another deployment, or one that was made anew
    #[arg(long, conflicts_with = "mark_only")]
    replace_another_history: bool,

    /// Only mark a database that something else has restored: PostgreSQL's own tools, or a snapshot of a volume
    #[arg(long)]
    mark_only: bool,

    /// The last revision that is known to have been, where something else has restored: an archive must reach it
    #[arg(long, value_name = "REVISION", requires = "mark_only", value_parser = clap::value_parser!(i64).range(1..))]
    lost_to: Option<i64>,

    #[command(flatten)]
    answer: AnswerArgs,
}

const UNANSWERED: &str = "nothing is answered from it until you run `portcullis confirm-restore`";

impl Restore {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let url = self.database.url().map_err(Failure::usage)?;
        // Before anything is touched: an archive that does not read is found now.
        let answer = self.answer.read()?;
        let said = block_on(async {
            let (restored, aside) = match &self.from {
                Some(from) => {
                    let replaces =
                        if self.replace_another_history { Replaces::AnyHistory } else { Replaces::OwnHistory };
                    let put = Store::restore(&url, from, replaces, &Clock::system()).await.map_err(Failure::from)?;
                    (put.restored, put.aside)
                }
                None => (mark(&url, self.lost_to).await?, None),
            };
            let mut said = vec![tell(&restored)];
            if let Some(aside) = aside {
                said.push(format!("what was there before is {}", aside.display()));
            }
            match answer {
                Some(answer) => match confirm(&url, answer).await {
                    Ok(lines) => said.extend(lines),
                    // The database is in its place: say so, whatever comes behind.
                    Err(failure) => {
                        said.push(UNANSWERED.to_owned());
                        return Ok((said, Some(failure)));
                    }
                },
                None => {
                    said.push(format!("{UNANSWERED}: it wants the revocations since, or that you accept their loss"))
                }
            }
            Ok((said, None))
        })?;
        let (lines, failure) = said;
        out.line(&lines.join("\n"))?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(ExitCode::SUCCESS),
        }
    }
}

async fn mark(url: &DatabaseUrl, lost_to: Option<i64>) -> Result<Restored, Failure> {
    let store = Store::open(url, Clock::system(), Entropy::system()).await.map_err(Failure::failed)?;
    let marked = store.mark_restored(lost_to.map(Revision::new)).await.map_err(Failure::failed);
    store.close().await;
    marked
}

fn tell(restored: &Restored) -> String {
    let holds = restored.holds;
    match restored.lost_to {
        Some(lost_to) if lost_to > holds => {
            let lost = lost_to.number() - holds.number();
            format!("restored up to revision {holds}; {lost} are lost, up to {lost_to}")
        }
        Some(_) => format!("restored up to revision {holds}, and none after it is known"),
        None => format!("restored up to revision {holds}; nobody knows how many were after it"),
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Server | RestoreError::Missing(_) | RestoreError::AnotherHistory { .. } => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
