use std::{ffi::OsStr, io::Write as _, process::ExitCode, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use prost::Message as _;

use super::{
    super::{args::block_on, failure::Failure, out::Out, serve::asked_to_stop},
    asked::Asked,
    child::Server,
    cpus::Cpus,
    load::{Load, must_be_valid},
    report::{Report, Round, Setup, profile},
};
use crate::{
    client::{Credentials, Tls, connect},
    pb::key_service_client::KeyServiceClient,
};

/// What a VerifyKey costs the server, beside an empty service
///
/// Prints the CPU time per call of a server as it is shipped, answering VALID to a verifier's
/// token, and that of an empty tonic service which is sent the same messages and metadata and
/// answers the same bytes; both are processes of this program, measured in turns. The ratio is
/// what holds from machine to machine. Exit code 1 if any call is not answered VALID.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis bench verify --json")]
pub(super) struct Verify {
    /// Print one JSON object: reference_us, subject_us, ratio, and how they were measured
    #[arg(long)]
    json: bool,

    /// How often each side is measured
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,

    /// How long each side is measured in a round
    #[arg(long, value_name = "SECONDS", default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,

    /// How many connections the callers share
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,

    /// How many callers there are on each connection, each with one call at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=200))]
    callers: u32,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().map_err(|_| "write it as 1.5".to_owned())?;
    if (0.05..=600.0).contains(&seconds) { Ok(seconds) } else { Err("must be 0.05 to 600".to_owned()) }
}

impl Verify {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        // Its key and its token are good for an hour.
        if 2.0 * f64::from(self.rounds + 1) * self.seconds > 3000.0 {
            return Err(Failure::usage(
                "rounds of so many seconds take longer than 50 minutes: ask for fewer or shorter ones",
            ));
        }
        if profile() == "debug" {
            note("warning: this is a debug build, whose times say nothing: use a release build");
        }
        let cpus = Cpus::split();
        if cpus.is_none() {
            note("warning: no two CPUs to bind servers and callers to: the times will vary");
        }
        let report = block_on(async {
            let stop = asked_to_stop()?;
            tokio::select! {
                report = self.measure(cpus.as_ref()) => report,
                () = stop => Err(Failure::failed("stopped before anything was measured")),
            }
        })?;
        out.line(&match self.json {
            true => serde_json::to_string(&report).map_err(Failure::failed)?,
            false => report.text(),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn measure(&self, cpus: Option<&Cpus>) -> Result<Report, Failure> {
        // Removed when this returns, whatever it returns: after the servers, which stand below.
        let folder = tempfile::tempdir().map_err(Failure::failed)?;
        let arguments = ["subject", "--listen", "127.0.0.1:0", "--data-dir"].map(OsStr::new);
        let subject = Server::start(&[&arguments[..], &[folder.path().as_os_str()]].concat(), cpus)?;
        let admin = Credentials::read(&folder.path().join(super::super::dev::CREDENTIALS)).map_err(Failure::failed)?;
        let channel = connect(subject.endpoint(), &Tls::default()).await.map_err(Failure::failed)?;
        let asked = Arc::new(Asked::make(admin, channel.clone()).await?);
        let answered = KeyServiceClient::new(channel).verify_key(asked.request()).await.map_err(Failure::Status)?;
        must_be_valid(answered.get_ref())?;
        let answer = answered.get_ref().encode_to_vec();
        let reference = Server::start(&["reference".as_ref(), BASE64_STANDARD.encode(&answer).as_ref()], cpus)?;

        let [connections, callers] = [self.connections, self.callers].map(|n| n as usize);
        let mut subject = Load::connect(subject, connections, callers, Arc::clone(&asked)).await?;
        let mut reference = Load::connect(reference, connections, callers, Arc::clone(&asked)).await?;
        let (rounds, calls) = self.rounds(&mut subject, &mut reference).await?;
        asked.must_be_counted(calls + 1).await?; // and the one that was shown to the reference
        let (request_bytes, authorization_bytes) = asked.sizes();
        let setup = Setup {
            seconds: self.seconds,
            connections,
            callers,
            request_bytes,
            authorization_bytes,
            response_bytes: answer.len(),
            pinned: cpus.is_some(),
        };
        Ok(Report::new(setup, &rounds))
    }

    /// One round to warm up, then those that count, and how many calls the subject had in all.
    /// The side that begins changes.
    async fn rounds(&self, subject: &mut Load, reference: &mut Load) -> Result<(Vec<Round>, u64), Failure> {
        let time = Duration::from_secs_f64(self.seconds);
        let (mut rounds, mut calls) = (Vec::new(), 0);
        for round in 0..=self.rounds {
            let measured = if round % 2 == 0 {
                let subject = subject.measure(time).await?;
                Round { subject, reference: reference.measure(time).await? }
            } else {
                let reference = reference.measure(time).await?;
                Round { subject: subject.measure(time).await?, reference }
            };
            calls += measured.subject.calls;
            if round > 0 {
                rounds.push(measured);
            }
        }
        Ok((rounds, calls))
    }
}

fn note(text: &str) {
    // Where standard error is closed, the report says it too.
    let _ = writeln!(std::io::stderr(), "{text}");
}
