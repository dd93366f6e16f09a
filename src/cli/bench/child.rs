//! A measured server is a process of its own, so that its CPU time is told apart from the
//! caller's. Each line that it reads it answers with its CPU time; it ends with its input,
//! so also when the process that started it is gone.

use std::{
    ffi::OsStr,
    io::{self, BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    super::{failure::Failure, out::Out},
    cpus::Cpus,
};
use crate::client::Endpoint;

/// A server that this process started. Ends when it is dropped.
pub(super) struct Server {
    process: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    endpoint: Endpoint,
}

impl Server {
    /// Starts `portcullis bench ARGUMENTS` and waits until it listens. Blocks, as
    /// [`Server::cpu_time`] does: nothing else runs here meanwhile.
    pub(super) fn start(arguments: &[&OsStr], cpus: Option<&Cpus>) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let mut command = Command::new(program);
        // Without an environment every setting is the default.
        command.arg("bench").args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        let spawned = match cpus {
            Some(cpus) => cpus.on_the_servers(|| command.spawn()),
            None => command.spawn(),
        };
        let mut process = spawned.map_err(Failure::failed)?;
        let (Some(ask), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::failed("a server was started without pipes"));
        };
        let mut answers = BufReader::new(answers).lines();
        let endpoint = line(&mut answers)?.parse().map_err(Failure::failed)?;
        Ok(Self { process, ask, answers, endpoint })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The CPU time of all its threads since it started.
    pub(super) fn cpu_time(&mut self) -> Result<Duration, Failure> {
        self.ask.write_all(b"\n").map_err(Failure::failed)?;
        line(&mut self.answers)?.parse().map(Duration::from_nanos).map_err(Failure::failed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What it has is temporary, and it may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(answers: &mut Lines<BufReader<ChildStdout>>) -> Result<String, Failure> {
    answers.next().ok_or_else(|| Failure::failed("a measured server ended"))?.map_err(Failure::failed)
}

/// The server's side: says where it listens, then tells its CPU time for each line of its
/// input. Done at the end of the input.
pub(super) fn obey(mut out: Out, endpoint: &str) -> Result<impl Future<Output = ()> + use<>, Failure> {
    out.line(endpoint)?;
    let (ended, end) = oneshot::channel::<()>();
    // Never joined: the read that it waits in ends with the process.
    std::thread::spawn(move || {
        let _ended = ended;
        let told = |_| out.line(&cpu_time().as_nanos().to_string()).is_ok();
        io::stdin().lines().map_while(Result::ok).all(told)
    });
    Ok(async {
        let _ = end.await;
    })
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
