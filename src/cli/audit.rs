//! `portcullis audit`: what the log says of itself, and what it says against what was signed
//! before.

mod checkpoint;
mod list;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{args::ConnectionArgs, failure::Failure, out::Out, people::Progress};
use crate::{
    chain::{Anchor, Head, Report, hex},
    client::{Checkpoint, CheckpointRefused, Client, VerifyFailed, WhyNot, verify_audit},
    signing::PublicKey,
};

/// See and verify the audit log, and sign what it is now
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Verify(verify::Verify),
    Checkpoint(checkpoint::MakeCheckpoint),
}

impl Audit {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        match self.command {
            Command::List(list) => list.run(out),
            Command::Verify(verify) => verify.run(out),
            Command::Checkpoint(checkpoint) => checkpoint.run(out),
        }
    }
}

/// Whose log, and what to hold it against.
#[derive(Debug, Args)]
struct LogArgs {
    /// A checkpoint to hold the log against; may be given several times
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,

    /// PEM file of a public key that signed checkpoints, beside the credentials' own; may be given several times
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A log that was read to its end.
struct Verified {
    report: Report,
    /// What was held against it.
    checkpoints: Vec<(PathBuf, Checkpoint)>,
    client: Client,
}

impl LogArgs {
    async fn verify(self) -> Result<Verified, Failure> {
        let credentials = self.connection.credentials.read()?;
        let mut keys = vec![credentials.public_key().clone()];
        for path in &self.public_keys {
            keys.push(public_key(path)?);
        }
        let (mut checkpoints, mut anchors) = (Vec::new(), Vec::new());
        for path in self.checkpoints {
            let checkpoint = Checkpoint::read(&path).map_err(Failure::usage)?;
            anchors.push(anchor(&checkpoint, &path, &keys)?);
            checkpoints.push((path, checkpoint));
        }
        let endpoint = self.connection.endpoint.or_of(Some(&credentials))?;
        let client = Client::new(self.connection.tls.connect(&endpoint).await?, Some(credentials));
        let progress = Progress::bar("events");
        let told = |seq: i64, of: i64| progress.at(seq.unsigned_abs(), Some(of.unsigned_abs()));
        let report = verify_audit(&client, anchors, told).await;
        drop(progress);
        Ok(Verified { report: report?, checkpoints, client })
    }
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let name = path.display();
    let pem = std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    PublicKey::from_pem(&pem).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}

fn anchor(checkpoint: &Checkpoint, path: &Path, keys: &[PublicKey]) -> Result<Anchor, Failure> {
    checkpoint.anchor(&path.display().to_string(), keys).map_err(|why| refused(why.at(path)))
}

/// A checkpoint that was changed is a finding; one that cannot be used is a mistake of the command.
fn refused(refused: CheckpointRefused) -> Failure {
    match refused.why {
        WhyNot::Read(_) | WhyNot::NotOne | WhyNot::UnknownKey(_) | WhyNot::Exists => Failure::usage(refused),
        WhyNot::Signature | WhyNot::Write(_) | WhyNot::Signing(_) => Failure::Failed(refused.to_string()),
    }
}

impl From<VerifyFailed> for Failure {
    fn from(failed: VerifyFailed) -> Self {
        match failed {
            VerifyFailed::Call(failed) => failed.into(),
            VerifyFailed::NotAll | VerifyFailed::Answer(_) => Self::Failed(failed.to_string()),
        }
    }
}

impl Verified {
    /// Prints each finding on a line, if there are any, and fails then.
    fn must_be_whole(&self, out: &mut Out) -> Result<(), Failure> {
        let Report { findings, more, .. } = &self.report;
        if findings.is_empty() {
            return Ok(());
        }
        for finding in findings {
            out.line(&finding.to_string())?;
        }
        if *more > 0 {
            out.line(&format!("and {more} more"))?;
        }
        Err(Failure::Failed(
            "the audit log is not what was written: keep the database as it is, and compare it with a backup of before"
                .to_owned(),
        ))
    }
}

/// `41 events, all as written; the last one's hash is 5e88…`
fn described(head: &Head) -> String {
    let (seq, hash) = (head.seq, hex(&head.hash));
    let events = if seq == 1 { "event" } else { "events" };
    format!("{seq} {events}, all as written; the last one's hash is {hash}")
}
