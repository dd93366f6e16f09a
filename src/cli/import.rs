//! `portcullis import`: keys of another system, by their hashes, from a file.
//!
//! ```text
//! FILE → source (CSV or JSON, a row at a time) → row (one key) → batch (up to 1,000) → send (ImportKeys) → report
//! ```
//!
//! The file is read twice: once to find all that is wrong with it before anything is sent, and once
//! to send it. Nothing is remembered between runs. What is there already counts as done, so that the same
//! command again goes on where an earlier one was cut off.

mod batch;
mod hash;
mod problems;
mod progress;
mod row;
mod send;
mod sent;
mod source;
mod unpermitted;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, value_parser};

use super::{
    args::{ConnectionArgs, block_on},
    failure::Failure,
    out::{Out, note},
    people::AppArgs,
};
use crate::client::Client;
use send::Way;
use sent::Sent;
use source::{Checked, Format, Source};

/// Take over keys of another system, by their SHA-256
///
/// Reads FILE and imports its keys to an application, up to 1,000 in a call. The whole file is read and
/// checked before the first key is sent. Run it again after it was cut off: what is there already counts as
/// done. Exit code: 0 all keys are there, 1 the server refused some of them, or it was cut off, 2 the file or the
/// command is wrong, and nothing was sent.
#[derive(Debug, Args)]
#[command(after_help = "\
Fields, as columns of a CSV file with a header row, or as those of JSON objects:
  secret_sha256 (64 hexadecimal digits, or base64) and name; and if wanted description, type (secret,
  publishable), environment (live, test), prefix, permissions, expire_time (2027-01-31T00:00:00Z), ip_allowlist,
  referrer_allowlist, resource_allowlist, rate_limits, quotas, labels, disabled (true, false).
  Lists in a cell are separated by `;`: permissions `tasks:read;tasks:write`, rate_limits `burst=10/1s`,
  quotas `day=1000`, labels `team=a`.

Examples:
  portcullis import keys.csv --app app_0123456789abcdefghijkl --dry-run
  portcullis import keys.jsonl --app app_0123456789abcdefghijkl --json")]
pub(super) struct Import {
    /// A CSV file, or JSON: an array of objects, or an object a line
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    app: AppArgs,

    /// What FILE is [default: by its name, .csv, .json, .jsonl or .ndjson]
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,

    /// The column, or the field, that holds the hashes
    #[arg(long, value_name = "NAME", default_value = row::HASH)]
    hash_column: String,

    /// Pass over a column, or a field, that is none of a key; may be given several times
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,

    /// Check the whole file, also at the server, and import nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the summary as JSON
    #[arg(long)]
    json: bool,

    /// How many calls are under way at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u8).range(1..=16))]
    concurrency: u8,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl Import {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let source = Source::new(self.file, self.format, &self.hash_column, &self.ignore)?;
        let credentials = self.connection.credentials.read()?;
        let endpoint = self.connection.endpoint.or_of(Some(&credentials))?;
        let application_id = self.app.id()?;
        let Checked { rows, unpermitted, problems } = source.check()?;
        if !problems.is_empty() {
            if self.json {
                out.line(&Sent::wrong(rows, self.dry_run, problems.clone()).json())?;
            }
            problems.tell(source.path());
            return Err(Failure::Usage(format!(
                "{} cannot be imported as said above; nothing was sent",
                problems.rows()
            )));
        }
        let way = Way { application_id, dry_run: self.dry_run, concurrency: self.concurrency.into(), rows };
        let path = source.path().to_owned();
        let (mut sent, hint) = block_on(async {
            let client = Client::new(self.connection.tls.connect(&endpoint).await?, Some(credentials));
            let hint = unpermitted::hint(&client, unpermitted, self.dry_run).await;
            Ok((send::send(client, source, way).await?, hint))
        })?;
        out.line(&if self.json { sent.json() } else { sent.summary() })?;
        sent.problems.tell(&path);
        match sent.failure.take() {
            Some(failure) => Err(failure),
            None if sent.problems.is_empty() => {
                if let Some(hint) = hint {
                    note(&hint);
                }
                Ok(ExitCode::SUCCESS)
            }
            None => Err(Failure::Failed(format!(
                "the server refused {}; no key of their batches was imported, and nothing behind them was sent: mend \
                 them and run it again",
                sent.problems.rows()
            ))),
        }
    }
}
